"""The files a user copies into an AI client start a working server."""

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from cyberun_mcp.clients.table import BY_NAME, CLIENTS
from cyberun_mcp.tools import TOOLS
from distribution.example_configs import file_name
from tests.fake_platform import structured

CONFIGS = Path(__file__).parents[2] / "configs"


def expanded(text: str) -> str:
    """What the client makes of the variables it names: `${NAME}`, `${env:NAME}` or `{env:NAME}`."""
    return re.sub(r"\$?\{(?:env:)?([A-Z_]+)\}", lambda found: os.environ.get(found[1], ""), text)


def started_by(name: str) -> StdioServerParameters:
    """The command of a client's file, as the client would start it, on the embedded platform."""
    client = BY_NAME[name]
    text = expanded((CONFIGS / file_name(client, "stdio")).read_text(encoding="utf-8"))
    entry: dict[str, Any] = json.loads(text)[client.section]["cyberun"]
    command, *arguments = entry["command"] if client.command_is_list else [entry["command"], *entry["args"]]
    found = shutil.which(command, path=str(Path(sys.executable).parent))
    assert found, f"{command} is not installed beside this Python"
    return StdioServerParameters(command=found, args=[*arguments, "--emulator"], env=entry.get(client.env_field))


@pytest.mark.parametrize("name", ["claude-code", "cursor", "opencode"])
async def test_the_config_starts_a_server_that_works_with_the_emulator(name: str, era: str) -> None:
    async with Client(started_by(name), mode=era) as client:
        assert len((await client.list_tools()).tools) == len(TOOLS)
        assert structured(await client.call_tool("list_workflows", {}))["workflow_list"]


@pytest.mark.parametrize("name", [client.name for client in CLIENTS if client.format != "toml"])
def test_every_config_starts_the_command_that_is_installed(name: str) -> None:
    server = started_by(name)
    assert Path(server.command).stem == "cyberun-mcp"
    assert server.args == ["--emulator"]
