"""The README's table of clients: what to type, what to click, where it lands."""

from cyberun_mcp.clients.configs import file_name
from cyberun_mcp.clients.description import Client
from cyberun_mcp.clients.links import cursor, vscode
from cyberun_mcp.clients.render import Connection, kinds_of, writes_the_key
from cyberun_mcp.clients.table import CLIENTS

_BADGE = "https://img.shields.io/badge"
_HEAD = "| Client | Type | Or click | Or copy | Its file | The key |\n|---|---|---|---|---|---|"


def clients_table() -> str:
    """One row a client."""
    return "\n".join([_HEAD, *map(_row, CLIENTS)])


def _row(client: Client) -> str:
    typed = (
        f"`cyberun-mcp config {client.name} --write`" if client.file else f"`cyberun-mcp config {client.name}`, paste"
    )
    copies = ", ".join(f"[{kind}](configs/{file_name(client, kind)})" for kind in kinds_of(client))
    place = f"`{_place(client)}`" if client.file else client.paste.replace(" | ", " → ")
    key = "in its file" if writes_the_key(client, Connection()) else "from the environment"
    return f"| {client.title} | {typed} | {_button(client)} | {copies} | {place} | {key} |"


def _button(client: Client) -> str:
    there = Connection()
    match client.name:
        case "cursor":
            return f"[![Add to Cursor]({_BADGE}/Cursor-add-black)]({cursor(there, page=True)})"
        case "vscode":
            return f"[![Add to VS Code]({_BADGE}/VS_Code-add-0098FF)]({vscode(there, page=True)})"
        case "claude-desktop":
            return "the `.mcpb` of `make dist`"
        case "claude-code":
            return "the plugin of `make dist`"
        case "gemini":
            return "the extension of `make dist`"
    return ""


def _place(client: Client) -> str:
    file = client.file if isinstance(client.file, str) else (client.file or {}).get("", "")
    return file.replace("{config}", "…").replace("{xdg}", "~/.config")
