"""What every artefact says, taken from where it is true."""

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
NAME = "cyberun-mcp"
VENDOR = "Cyberun"
HOME_PAGE = "https://app.cyberun.cloud"
DOCUMENTATION = "https://docs.cyberun.cloud/mcp/cloud"
REGISTRY_NAME = "io.github.cyberun-cloud/cyberun-mcp"
KEY_TITLE = "Cyberun key"
KEY_HELP = f"An integration key (sk-…): {WHERE_KEYS_COME_FROM}. It is shown once."


@dataclass(frozen=True)
class Facts:
    """The package's own data, and the tools as a client is told them."""

    version: str
    title: str
    description: str
    keywords: list[str]
    python: str
    tools: list[dict[str, str]]


async def facts() -> Facts:
    """Read pyproject.toml, and ask the server itself for its tools."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    server = build_server(Settings(), lambda _: credential_from(None))
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
    return Facts(
        version=__version__,
        title=TITLE,
        description=project["description"],
        keywords=project["keywords"],
        python=project["requires-python"],
        tools=[{"name": each.name, "description": (each.description or "").split(". ")[0] + "."} for each in tools],
    )


def skill() -> str:
    """The skill, as it is in configs/."""
    return (ROOT / "configs" / "skills" / "cyberun" / "SKILL.md").read_text(encoding="utf-8")


def licence() -> str:
    """The licence's text."""
    return (ROOT / "LICENSE").read_text(encoding="utf-8")
