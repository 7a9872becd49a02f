"""The Claude Code plugin, with a marketplace that lists it, and the Gemini CLI extension."""

import json

from cyberun_mcp.clients.ai_client import KEY_VARIABLE
from cyberun_mcp.clients.render import SERVER_NAME, ConnectionOptions, server_entry
from cyberun_mcp.clients.table import BY_NAME
from distribution.metadata import HOME_PAGE, KEY_HELP, KEY_TITLE, VENDOR, ProjectMetadata
from distribution.shared_files import icon, license_text, skill

PLUGIN_NAME = SERVER_NAME


def claude_code_marketplace(metadata: ProjectMetadata) -> dict[str, str | bytes]:
    """The files of a marketplace with only our plugin, by their path."""
    listed = {
        "name": PLUGIN_NAME,
        "source": f"./{PLUGIN_NAME}",
        "description": metadata.description,
        "version": metadata.version,
    }
    index = {
        "name": PLUGIN_NAME,
        "owner": {"name": VENDOR},
        "metadata": {"description": f"{metadata.title} for Claude Code"},
        "plugins": [listed],
    }
    files: dict[str, str | bytes] = {".claude-plugin/marketplace.json": _to_json(index)}
    return files | {f"{PLUGIN_NAME}/{name}": content for name, content in _claude_code_plugin(metadata).items()}


def gemini_extension(metadata: ProjectMetadata) -> dict[str, str | bytes]:
    """The files of the extension, by their path."""
    extension = {
        "name": PLUGIN_NAME,
        "version": metadata.version,
        "description": metadata.description,
        "mcpServers": {SERVER_NAME: server_entry(BY_NAME["gemini"], ConnectionOptions())},
        "settings": [{"name": KEY_TITLE, "description": KEY_HELP, "envVar": KEY_VARIABLE, "sensitive": True}],
    }
    return {
        "gemini-extension.json": _to_json(extension),
        f"skills/{PLUGIN_NAME}/SKILL.md": skill(),
        "LICENSE": license_text(),
    }


def _claude_code_plugin(metadata: ProjectMetadata) -> dict[str, str | bytes]:
    plugin = {
        "name": PLUGIN_NAME,
        "version": metadata.version,
        "description": metadata.description,
        "author": {"name": VENDOR, "url": HOME_PAGE},
        "homepage": HOME_PAGE,
        "license": "MIT",
        "keywords": metadata.keywords,
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
    servers = {SERVER_NAME: {"command": "cyberun-mcp", "args": [], "env": {KEY_VARIABLE: "${user_config.api_key}"}}}
    return {
        ".claude-plugin/plugin.json": _to_json(plugin),
        ".mcp.json": _to_json({"mcpServers": servers}),
        f"skills/{PLUGIN_NAME}/SKILL.md": skill(),
        "README.md": _claude_code_readme(metadata),
        "LICENSE": license_text(),
        "icon.png": icon(),
    }


def _claude_code_readme(metadata: ProjectMetadata) -> str:
    tools = "\n".join(f"- `{tool['name']}`: {tool['description']}" for tool in metadata.tools)
    return f"""# {metadata.title} for Claude Code

{metadata.description}

The plugin starts `cyberun-mcp`, which has to be installed (`pipx install cyberun-mcp`), and asks for your Cyberun key
once; Claude Code keeps it in the system's safe. It also brings a skill that tells Claude when to use which tool, how to
wait for a long task without losing it, and what never to do twice because it is paid for.

## Tools

{tools}
"""


def _to_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
