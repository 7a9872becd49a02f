"""server.json, the entry for the MCP registry."""

from typing import Any

from cyberun_mcp.settings import ENV_PREFIX, env_name, flagged_fields
from distribution.metadata import HOME_PAGE, KEY_HELP, PACKAGE_NAME, REGISTRY_NAME, ProjectMetadata

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
LISTED_SETTINGS = {"base_url", "team_id", "call_timeout", "log_level"}
DESCRIPTION = "Run AI workflows on your team's Cyberun GPU agents: submit, watch live, fetch the results."


def server_json(metadata: ProjectMetadata) -> dict[str, Any]:
    """One package, which speaks MCP over stdio, with the settings that most users need."""
    return {
        "$schema": SCHEMA,
        "name": REGISTRY_NAME,
        "title": metadata.title,
        "description": DESCRIPTION,
        "version": metadata.version,
        "websiteUrl": HOME_PAGE,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": PACKAGE_NAME,
                "version": metadata.version,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": [
                    {
                        "name": env_name("api_key", ENV_PREFIX),
                        "description": KEY_HELP,
                        "isRequired": True,
                        "isSecret": True,
                    },
                    *_setting_variables(),
                ],
            }
        ],
    }


def _setting_variables() -> list[dict[str, Any]]:
    return [
        {"name": env_name(field.name, ENV_PREFIX), "description": field.metadata["help"]}
        | ({"default": str(field.default)} if field.default is not None else {})
        for field in flagged_fields()
        if field.name in LISTED_SETTINGS
    ]
