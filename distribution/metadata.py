"""The metadata of the project, read from the code and from pyproject.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client

from cyberun_mcp import __version__
from cyberun_mcp.api.credentials import WHERE_KEYS_COME_FROM, credential_from
from cyberun_mcp.server import TITLE, build_server
from cyberun_mcp.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGE_NAME = "cyberun-mcp"
VENDOR = "Cyberun"
HOME_PAGE = "https://app.cyberun.cloud"
DOCUMENTATION = "https://docs.cyberun.cloud/mcp/cloud"
REGISTRY_NAME = "io.github.cyberun-cloud/cyberun-mcp"
KEY_TITLE = "Cyberun key"
KEY_HELP = f"An integration key (sk-…): {WHERE_KEYS_COME_FROM}. It is shown once."


@dataclass(frozen=True)
class ProjectMetadata:
    """`tools` has the `name` and the first sentence of the `description` of each tool; `python` is a version range."""

    version: str
    title: str
    description: str
    keywords: list[str]
    python: str
    tools: list[dict[str, str]]


async def read_metadata() -> ProjectMetadata:
    """Read pyproject.toml, and list the tools of the server as a client does."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    server = build_server(Settings(), lambda _: credential_from(None))
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
    return ProjectMetadata(
        version=__version__,
        title=TITLE,
        description=project["description"],
        keywords=project["keywords"],
        python=project["requires-python"],
        tools=[{"name": tool.name, "description": first_sentence(tool.description)} for tool in tools],
    )


def first_sentence(description: str | None) -> str:
    """The first sentence of a tool's description, with its period."""
    return (description or "").split(". ")[0] + "."
