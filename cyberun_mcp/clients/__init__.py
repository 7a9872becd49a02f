"""AI clients: how each of them is configured, and changing their configuration files.

    table (one AiClient for each client) → render (its configuration, for three kinds of connection)
    command (`cyberun-mcp config`) → config_file (our entry in the client's file) → jsonc_editing, toml_editing
                                                                                  → file_replacement

`make configs` writes the examples under `configs/` from the table. A test fails when they differ from it.
"""
