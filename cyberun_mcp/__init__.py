"""The Cyberun Cloud tools as an MCP server.

From the ground up: `errors`, `settings`, `redaction`, `observability`, `api` (the REST API), `tools`, `server`,
`stdio` and `http` (the transports), `cli`; beside them `bridge` and `emulator`. Imports go one way, see
CONTRIBUTING.md.
"""

__version__ = "0.1.0"
