"""AI clients: how each is configured, and doing it.

    table (one description of each client) → render (its configuration, three kinds of connection) → links, configs/
                                          → edit (jsonc, toml: one entry of a file, the rest untouched) → configure

`python -m cyberun_mcp.clients.configs` writes the files under `configs/` anew; a test fails when they drift.
"""
