"""The Claude Code plugin: the server, the skill, and the marketplace file that lists it."""

import json

from cyberun_mcp.clients.description import KEY
from distribution.facts import HOME_PAGE, KEY_HELP, KEY_TITLE, VENDOR, Facts, licence, skill
from distribution.icon import icon

PLUGIN = "cyberun"


def marketplace(facts: Facts) -> dict[str, str | bytes]:
    """Every file of a marketplace with the one plugin, by its path."""
    listed = {"name": PLUGIN, "source": f"./{PLUGIN}", "description": facts.description, "version": facts.version}
    index = {
        "name": PLUGIN,
        "owner": {"name": VENDOR},
        "metadata": {"description": f"{facts.title} for Claude Code"},
        "plugins": [listed],
    }
    files: dict[str, str | bytes] = {".claude-plugin/marketplace.json": _json(index)}
    return files | {f"{PLUGIN}/{name}": content for name, content in _plugin(facts).items()}


def _plugin(facts: Facts) -> dict[str, str | bytes]:
    about = {
        "name": PLUGIN,
        "version": facts.version,
        "description": facts.description,
        "author": {"name": VENDOR, "url": HOME_PAGE},
        "homepage": HOME_PAGE,
        "license": "MIT",
        "keywords": facts.keywords,
        "userConfig": {
            "api_key": {
                "type": "string",
                "title": KEY_TITLE,
                "description": KEY_HELP,
                "required": True,
                "sensitive": True,
            }
        },
    }
    servers = {PLUGIN: {"command": "cyberun-mcp", "args": [], "env": {KEY: "${user_config.api_key}"}}}
    return {
        ".claude-plugin/plugin.json": _json(about),
        ".mcp.json": _json({"mcpServers": servers}),
        f"skills/{PLUGIN}/SKILL.md": skill(),
        "README.md": _readme(facts),
        "LICENSE": licence(),
        "icon.png": icon(),
    }


def _readme(facts: Facts) -> str:
    tools = "\n".join(f"- `{each['name']}`: {each['description']}" for each in facts.tools)
    return f"""# {facts.title} for Claude Code

{facts.description}

The plugin starts `cyberun-mcp`, which has to be installed (`pipx install cyberun-mcp`), and asks for your Cyberun key
once; Claude Code keeps it in the system's safe. It also brings a skill that tells Claude when to use which tool, how to
wait for a long task without losing it, and what never to do twice because it is paid for.

## Tools

{tools}
"""


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
