"""What `make dist` builds is valid, current and without a secret; the clients' own validators run in test-clients."""

import base64
import io
import json
import re
import zipfile
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import jsonschema
import pytest

from cyberun_mcp import __version__
from cyberun_mcp.tools import TOOLS
from distribution.build import artifacts
from distribution.install_links import install_links
from distribution.metadata import ProjectMetadata, read_metadata

NAMES = [tool.name for tool in TOOLS]


@pytest.fixture(scope="module")
def metadata() -> ProjectMetadata:
    return anyio.run(read_metadata)


@pytest.fixture(scope="module")
def built(metadata: ProjectMetadata) -> dict[str, Any]:
    """Every artifact; JSON is parsed."""
    return {
        name: json.loads(content) if name.endswith(".json") else content
        for name, content in artifacts(metadata).items()
    }


# The published schemas of 2025-12-11 (registry) and of manifest 0.4 (MCPB), as far as we use them.
TEXT = {"type": "string", "minLength": 1}
SERVER = {
    "type": "object",
    "required": ["$schema", "name", "description", "version", "packages"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"},
        "name": {"type": "string", "pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$", "minLength": 3, "maxLength": 200},
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "websiteUrl": {"type": "string", "pattern": "^https://"},
        "packages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["registryType", "identifier", "version", "transport"],
                "additionalProperties": False,
                "properties": {
                    "registryType": {"enum": ["npm", "pypi", "oci", "nuget", "mcpb"]},
                    "identifier": TEXT,
                    "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
                    "runtimeHint": TEXT,
                    "transport": {"const": {"type": "stdio"}},
                    "environmentVariables": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name"],
                            "additionalProperties": False,
                            "properties": {
                                "name": {"type": "string", "pattern": "^[A-Z_]+$"},
                                "description": TEXT,
                                "default": {"type": "string"},
                                "isRequired": {"type": "boolean"},
                                "isSecret": {"type": "boolean"},
                            },
                        },
                    },
                },
            },
        },
    },
}
MANIFEST = {
    "type": "object",
    "required": ["manifest_version", "name", "version", "description", "author", "server"],
    "properties": {
        "manifest_version": {"const": "0.4"},
        "author": {"type": "object", "required": ["name"]},
        "server": {
            "type": "object",
            "required": ["type", "entry_point", "mcp_config"],
            "properties": {
                "type": {"enum": ["python", "node", "binary", "uv"]},
                "mcp_config": {"type": "object", "required": ["command", "args", "env"]},
            },
        },
        "tools": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "description"],
                "propertyNames": {"pattern": "^(name|description)$"},
            },
        },
        "user_config": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["type", "title", "description"],
                "properties": {"type": {"enum": ["string", "number", "boolean", "directory", "file"]}},
            },
        },
    },
}


def test_the_registry_entry_is_valid_and_keeps_the_key_secret(built: dict[str, Any]) -> None:
    entry = built["server.json"]
    jsonschema.validate(entry, SERVER)
    assert entry["version"] == __version__
    [package] = entry["packages"]
    [key, *rest] = package["environmentVariables"]
    assert key["name"] == "CYBERUN_API_KEY"
    assert key["isSecret"]
    assert not any(each.get("isSecret") for each in rest)


def test_the_bundle_has_the_package_and_the_live_tools(built: dict[str, Any]) -> None:
    with zipfile.ZipFile(io.BytesIO(built[f"cyberun-mcp-{__version__}.mcpb"])) as bundle:
        assert bundle.testzip() is None
        manifest = json.loads(bundle.read("manifest.json"))
        names = set(bundle.namelist())
        assert bundle.read("icon.png").startswith(b"\x89PNG")
    jsonschema.validate(manifest, MANIFEST)
    assert manifest == built["mcpb/manifest.json"]
    assert [each["name"] for each in manifest["tools"]] == NAMES
    assert manifest["user_config"]["api_key"]["sensitive"]
    assert manifest["server"]["mcp_config"]["env"] == {"CYBERUN_API_KEY": "${user_config.api_key}"}
    assert manifest["server"]["entry_point"] in names
    assert {"pyproject.toml", "README.md", "LICENSE", "cyberun_mcp/cli.py"} <= names
    assert not any("__pycache__" in name for name in names)


def test_the_same_source_gives_the_same_bundle(metadata: ProjectMetadata) -> None:
    name = f"cyberun-mcp-{__version__}.mcpb"
    assert artifacts(metadata)[name] == artifacts(metadata)[name]


def test_the_plugin_is_listed_and_asks_for_the_key(built: dict[str, Any]) -> None:
    [listed] = built["claude-code/.claude-plugin/marketplace.json"]["plugins"]
    plugin = built[f"claude-code/{listed['source'].removeprefix('./')}/.claude-plugin/plugin.json"]
    assert plugin["name"] == listed["name"]
    assert plugin["version"] == __version__
    assert plugin["userConfig"]["api_key"]["sensitive"]
    servers = built["claude-code/cyberun/.mcp.json"]["mcpServers"]
    assert servers["cyberun"]["env"] == {"CYBERUN_API_KEY": "${user_config.api_key}"}
    readme = built["claude-code/cyberun/README.md"]
    assert len(readme.split()) >= 40
    assert all(name in readme for name in NAMES)


def test_the_extension_asks_for_the_key(built: dict[str, Any]) -> None:
    extension = built["gemini-extension/gemini-extension.json"]
    assert extension["version"] == __version__
    [setting] = extension["settings"]
    assert setting["envVar"] == "CYBERUN_API_KEY"
    assert setting["sensitive"]
    assert extension["mcpServers"]["cyberun"]["env"]["CYBERUN_API_KEY"] == "${CYBERUN_API_KEY}"


def test_cursors_link_holds_the_entry() -> None:
    for name in ("cursor", "cursor page"):
        query = parse_qs(urlsplit(install_links()[name]).query)
        assert query["name"] == ["cyberun"]
        entry = json.loads(base64.b64decode(query["config"][0]))
        assert entry == {"command": "cyberun-mcp", "args": [], "env": {"CYBERUN_API_KEY": "${env:CYBERUN_API_KEY}"}}


def test_vs_codes_link_asks_for_the_key() -> None:
    whole = json.loads(unquote(install_links()["vscode"].removeprefix("vscode:mcp/install?")))
    assert whole["name"] == "cyberun"
    assert whole["env"] == {"CYBERUN_API_KEY": "${input:cyberun_api_key}"}
    [asked] = whole["inputs"]
    assert asked["id"] == "cyberun_api_key"
    assert asked["password"]
    page = parse_qs(urlsplit(install_links()["vscode page"]).query)
    assert json.loads(page["config"][0])["env"] == whole["env"]
    assert json.loads(page["inputs"][0]) == whole["inputs"]


def test_nothing_that_is_handed_out_holds_a_key(built: dict[str, Any]) -> None:
    texts = [
        each if isinstance(each, str) else json.dumps(each) for each in built.values() if not isinstance(each, bytes)
    ]
    assert not any(re.search(r"\b(sk|dk|ak)-\w{4}", text) for text in texts)
