"""Connects an MCP client that only speaks stdio to a remote Streamable HTTP endpoint.

    client ⇄ lines, output (stdio) ⇄ relay (requests in flight) ⇄ remote_client (eras, session)
           ⇄ streamable_http (a message and its response) ⇄ connection_pool, http_connection, connect (network) ⇄ remote

`response_head` and `response_reader` parse HTTP strictly; `liveness` detects a remote that has gone silent. Messages
are forwarded as the bytes they are; only what routing needs is parsed. `request_headers` has the headers that each
era requires, and `error_texts` the JSON-RPC error texts, which tell the user what to do.

Why asyncio and our own HTTP/1.1 instead of `httpx2`? Measured alternately in one run, medians of 8, 2 cores, against
the smallest forwarder that can be written on httpx2. The remote itself takes 0.49 ms a call, 0.69 ms with 32 in flight:

                                    asyncio      httpx2
    spawn → `initialize` answered     64 ms      128 ms   (mcp-remote in such runs: 280 to 420 ms)
    one call                        0.61 ms     1.46 ms
    a call, 32 in flight            0.73 ms     1.64 ms
    memory after the run             24 MiB      32 MiB

With httpx2 the start would miss its goal of a quarter of mcp-remote's. What httpx2 offers beyond that costs little
here: TLS comes from the `ssl` module and the system's certificates from truststore in both cases (6 ms, loaded for
https alone; Python's own defaults take 16 ms and do not read the macOS keychain). A proxy's tunnel is forty lines in
`connect`. Of HTTP, a JSON-RPC response only uses chunks and lengths. `tests/bridge/test_response_parsing.py` cuts them
at every byte, and checks the parser against RFC 9112.
"""
