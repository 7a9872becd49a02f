"""Links that install the server at a click, for the clients that have such.

A page shown on GitHub may not link to a scheme of an application, so both clients also have a page that redirects.
"""

import base64
import json
from typing import Any
from urllib.parse import quote

from cyberun_mcp.clients.render import NAME, Connection, entry
from cyberun_mcp.clients.table import BY_NAME

KEY_INPUT = {"type": "promptString", "id": "cyberun_api_key", "description": "Cyberun key (sk-…)", "password": True}


def cursor(connection: Connection, *, page: bool = False) -> str:
    """Cursor's link, or the page that redirects to it."""
    config = base64.b64encode(_json(entry(BY_NAME["cursor"], connection)).encode()).decode()
    beginning = "https://cursor.com/en/install-mcp" if page else "cursor://anysphere.cursor-deeplink/mcp/install"
    return f"{beginning}?name={NAME}&config={quote(config, safe='')}"


def vscode(connection: Connection, *, page: bool = False) -> str:
    """VS Code's link, or the page that redirects to it. VS Code asks for the key and keeps it in its own safe."""
    config = entry(BY_NAME["vscode"], connection)
    asked = _json(config).replace("${env:CYBERUN_API_KEY}", f"${{input:{KEY_INPUT['id']}}}")
    config = json.loads(asked)
    inputs = [] if connection.emulator else [KEY_INPUT]
    if not page:
        whole = {"name": NAME, **config, **({"inputs": inputs} if inputs else {})}
        return f"vscode:mcp/install?{quote(_json(whole), safe='')}"
    link = f"https://insiders.vscode.dev/redirect/mcp/install?name={NAME}&config={quote(_json(config), safe='')}"
    return link + (f"&inputs={quote(_json(inputs), safe='')}" if inputs else "")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
