"""Links that install the server with one click, for the clients that support it.

GitHub removes links to the scheme of an application, so both clients also have a web page that redirects to it.
"""

import base64
import json
from typing import Any
from urllib.parse import quote

from cyberun_mcp.clients.render import SERVER_NAME, ConnectionOptions, server_entry
from cyberun_mcp.clients.table import BY_NAME

KEY_INPUT = {"type": "promptString", "id": "cyberun_api_key", "description": "Cyberun key (sk-…)", "password": True}
OPTIONS = ConnectionOptions()


def install_links() -> dict[str, str]:
    """All links by their name."""
    return {
        "cursor": cursor_link(),
        "cursor page": cursor_link(page=True),
        "vscode": vscode_link(),
        "vscode page": vscode_link(page=True),
    }


def cursor_link(*, page: bool = False) -> str:
    """Cursor's link, or its page that redirects to it."""
    config = base64.b64encode(_to_json(server_entry(BY_NAME["cursor"], OPTIONS)).encode()).decode()
    base = "https://cursor.com/en/install-mcp" if page else "cursor://anysphere.cursor-deeplink/mcp/install"
    return f"{base}?name={SERVER_NAME}&config={quote(config, safe='')}"


def vscode_link(*, page: bool = False) -> str:
    """VS Code's link, or its page that redirects to it. VS Code asks for the key and stores it encrypted."""
    entry = _to_json(server_entry(BY_NAME["vscode"], OPTIONS))
    config = json.loads(entry.replace("${env:CYBERUN_API_KEY}", f"${{input:{KEY_INPUT['id']}}}"))
    if not page:
        return f"vscode:mcp/install?{quote(_to_json({'name': SERVER_NAME, **config, 'inputs': [KEY_INPUT]}), safe='')}"
    base = "https://insiders.vscode.dev/redirect/mcp/install"
    query = f"name={SERVER_NAME}&config={quote(_to_json(config), safe='')}"
    return f"{base}?{query}&inputs={quote(_to_json([KEY_INPUT]), safe='')}"


def _to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
