"""server.json for the MCP registry."""

from typing import Any

from cyberun_mcp.settings import ENV_PREFIX, env_name, flagged_fields
from distribution.facts import HOME_PAGE, KEY_HELP, NAME, REGISTRY_NAME, Facts

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
DESCRIPTION = "Run AI workflows on your team's Cyberun GPU agents: submit, watch live, fetch the results."


def server_json(facts: Facts) -> dict[str, Any]:
    """What the registry lists: one package, over stdio, with the settings worth asking for."""
    return {
        "$schema": SCHEMA,
        "name": REGISTRY_NAME,
        "title": facts.title,
        "description": DESCRIPTION,
        "version": facts.version,
        "websiteUrl": HOME_PAGE,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": NAME,
                "version": facts.version,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": [
                    {
                        "name": env_name("api_key", ENV_PREFIX),
                        "description": KEY_HELP,
                        "isRequired": True,
                        "isSecret": True,
                    },
                    *_settings(),
                ],
            }
        ],
    }


def _settings() -> list[dict[str, Any]]:
    asked = {"base_url", "team_id", "call_timeout", "log_level"}
    return [
        {"name": env_name(each.name, ENV_PREFIX), "description": each.metadata["help"]}
        | ({"default": str(each.default)} if each.default is not None else {})
        for each in flagged_fields()
        if each.name in asked
    ]
