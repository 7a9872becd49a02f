"""A stdio MCP server that is really a remote one: joins a client that only speaks stdio to a Streamable HTTP endpoint.

    client ⇄ lines, output (stdio) ⇄ relay (who is waiting) ⇄ exchange (one message, its replies)
                                                     ⇄ connections, http1, dialing (the network) ⇄ remote

`incoming` and `head` read what the remote sends, strictly; `liveness` notices when it no longer sends anything.

Messages pass as the bytes they are; only what is needed to route them is parsed. `session` keeps what a remote of the
2025 eras remembers of the client, `headers` and `mirrored` say what each era wants in the request, `trouble` turns
whatever goes wrong into a JSON-RPC error that says what to do.

Why asyncio and our own HTTP/1.1 instead of `httpx2`. Measured in one run, in turn, medians of 8, 2 cores, against the
least forwarder that can be written on httpx2; the remote itself takes 0.49 ms a call, 0.69 ms with 32 in flight:

                                    asyncio      httpx2
    spawn → `initialize` answered     64 ms      128 ms   (mcp-remote in such runs: 280 to 420 ms)
    one call                        0.61 ms     1.46 ms
    a call, 32 in flight            0.73 ms     1.64 ms
    memory after the run             24 MiB      32 MiB

With httpx2 the start would miss its goal of a quarter of mcp-remote's. What httpx2 brings besides costs little: TLS is
the `ssl` module's and the system's certificates are truststore's in both (6 ms, loaded for https alone; Python's own
defaults take 16 ms and know no macOS keychain); a proxy's tunnel is forty lines in `dialing`; chunks and lengths are
all of HTTP that a JSON-RPC answer uses. `tests/bridge/test_reading_answers.py` cuts them at every byte, and holds
the reader to what RFC 9112 allows.
"""
