"""The files under `configs/` that a user copies: every client, every way to connect it.

`python -m cyberun_mcp.clients.configs [FOLDER]` writes them anew.
"""

import sys
from pathlib import Path

from cyberun_mcp.clients.description import Client
from cyberun_mcp.clients.render import Connection, Kind, kinds_of, text_of
from cyberun_mcp.clients.table import CLIENTS

# What the examples connect to; the first is where `cyberun-mcp http` listens.
EXAMPLES: dict[Kind, Connection] = {
    "stdio": Connection("stdio"),
    "http": Connection("http", "http://127.0.0.1:8000/mcp"),
    "bridge": Connection("bridge", "https://mcp.example.com/mcp"),
}


def file_name(client: Client, kind: Kind) -> str:
    """What the file is called: `cursor.mcp.json`, `cursor.http.mcp.json`, `cursor.bridge.mcp.json`."""
    return ".".join([client.name, *([] if kind == "stdio" else [kind]), client.suffix])


def files() -> dict[str, str]:
    """Every file by its name."""
    return {file_name(client, kind): text_of(client, EXAMPLES[kind]) for client in CLIENTS for kind in kinds_of(client)}


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "configs")
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
