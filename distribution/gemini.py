"""The Gemini CLI extension: the server, the skill, and the setting for the key."""

import json

from cyberun_mcp.clients.description import KEY
from cyberun_mcp.clients.render import Connection, entry
from cyberun_mcp.clients.table import BY_NAME
from distribution.facts import KEY_HELP, KEY_TITLE, Facts, licence, skill


def extension(facts: Facts) -> dict[str, str | bytes]:
    """Every file of the extension, by its path."""
    about = {
        "name": "cyberun",
        "version": facts.version,
        "description": facts.description,
        "mcpServers": {"cyberun": entry(BY_NAME["gemini"], Connection())},
        "settings": [{"name": KEY_TITLE, "description": KEY_HELP, "envVar": KEY, "sensitive": True}],
    }
    return {
        "gemini-extension.json": json.dumps(about, indent=2, ensure_ascii=False) + "\n",
        "skills/cyberun/SKILL.md": skill(),
        "LICENSE": licence(),
    }
