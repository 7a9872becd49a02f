"""Everything that is handed out, by its path under dist/."""

import json

from cyberun_mcp.clients.links import cursor, vscode
from cyberun_mcp.clients.render import Connection
from distribution.claude_code import marketplace
from distribution.facts import NAME, Facts
from distribution.gemini import extension
from distribution.icon import icon
from distribution.mcpb import bundle, manifest
from distribution.registry import server_json


def artefacts(facts: Facts) -> dict[str, str | bytes]:
    """All files."""
    manifest_json = _json(manifest(facts))
    return {
        f"{NAME}-{facts.version}.mcpb": bundle(manifest_json),
        "mcpb/manifest.json": manifest_json,
        "mcpb/icon.png": icon(),
        "server.json": _json(server_json(facts)),
        "install-links.json": _json(links()),
        **{f"claude-code/{name}": content for name, content in marketplace(facts).items()},
        **{f"gemini-extension/{name}": content for name, content in extension(facts).items()},
    }


def links() -> dict[str, str]:
    """The install links, for the applications and for pages."""
    there = Connection()
    return {
        "cursor": cursor(there),
        "cursor page": cursor(there, page=True),
        "vscode": vscode(there),
        "vscode page": vscode(there, page=True),
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
