"""The examples under `configs/`: one file for each AI client and each kind of connection that it supports.

`make configs` runs `python -m distribution.example_configs [FOLDER]`, which writes them.
"""

import sys
from pathlib import Path

from cyberun_mcp.clients.ai_client import AiClient
from cyberun_mcp.clients.render import ConnectionKind, ConnectionOptions, config_text, supported_kinds
from cyberun_mcp.clients.table import CLIENTS

EXAMPLES: dict[ConnectionKind, ConnectionOptions] = {
    "stdio": ConnectionOptions("stdio"),
    "http": ConnectionOptions("http", "http://127.0.0.1:8000/mcp"),  # the default of `cyberun-mcp http`
    "bridge": ConnectionOptions("bridge", "https://mcp.example.com/mcp"),
}


def file_name(client: AiClient, kind: ConnectionKind) -> str:
    """For example `cursor.mcp.json`, `cursor.http.mcp.json` or `cursor.bridge.mcp.json`."""
    return ".".join([client.name, *([] if kind == "stdio" else [kind]), client.example_suffix])


def example_configs() -> dict[str, str]:
    """The text of all files, by their name."""
    return {
        file_name(client, kind): config_text(client, EXAMPLES[kind])
        for client in CLIENTS
        for kind in supported_kinds(client)
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "configs")
    for name, text in example_configs().items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
