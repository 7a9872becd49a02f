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

from tests.fake_platform import structured

CONFIGS = Path(__file__).parents[2] / "configs"


def expanded(text: str) -> str:
    """What the client makes of the variables it names: `${NAME:-default}` (Claude Code) or `${env:NAME}` (Cursor)."""
    return re.sub(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}", lambda found: os.environ.get(found[1], found[2] or ""), text)


@pytest.mark.parametrize("name", ["claude-code.mcp.json", "cursor.mcp.json"])
async def test_the_config_starts_a_server_that_works_with_the_emulator(name: str, era: str) -> None:
    entry: dict[str, Any] = json.loads(expanded((CONFIGS / name).read_text(encoding="utf-8")))["mcpServers"]["cyberun"]
    command = shutil.which(entry["command"], path=str(Path(sys.executable).parent))
    assert command, f"{entry['command']} is not installed beside this Python"
    server = StdioServerParameters(command=command, args=[*entry["args"], "--emulator"], env=entry["env"])
    async with Client(server, mode=era) as client:
        assert len((await client.list_tools()).tools) == 15
        assert structured(await client.call_tool("list_workflows", {}))["workflow_list"]


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.json")), ids=lambda file: str(file.name))
def test_no_config_holds_a_key(file: Path) -> None:
    assert not re.search(r"\b(sk|dk|ak)-\w", file.read_text(encoding="utf-8"))
