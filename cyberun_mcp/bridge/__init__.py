"""A stdio MCP server that is really a remote one: joins a client that only speaks stdio to a Streamable HTTP endpoint.

    client ⇄ lines, output (stdio) ⇄ relay (who is waiting) ⇄ exchange (one message, its replies)
                                                     ⇄ connections, http1, dialing (the network) ⇄ remote

Messages pass as the bytes they are; only what is needed to route them is parsed. `session` keeps what a remote of the
2025 era remembers of the client, `headers` says what each era wants in the request, `trouble` turns whatever goes wrong
into a JSON-RPC error that says what to do.
"""
