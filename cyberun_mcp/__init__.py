"""The fifteen Cyberun Cloud tools as an MCP server.

The house, from the ground up: `errors`, `settings`, `redaction`, `api` (the REST API), `tools`, `server`,
`transports`, `cli`; beside them `emulator`, an embedded platform. Imports go one way, see CONTRIBUTING.md.
"""

__version__ = "0.1.0"
