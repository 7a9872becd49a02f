"""What may be loaded when: a client waits for every import that comes before its first answer."""

import json
import subprocess
import sys
from typing import Any

from cyberun_mcp.tools import TOOLS

LISTING = """
import anyio, json, sys

reached = []
sys.addaudithook(
    lambda event, _: reached.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None
)

from mcp import Client
from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings
from cyberun_mcp.stdio.serve import serve_stdio

async def names():
    server = build_server(Settings(api_key="sk-x"), lambda _: credential_from("sk-x", None))
    async with Client(server) as client:
        return [tool.name for tool in (await client.list_tools()).tools]

print(json.dumps({"tools": anyio.run(names), "loaded": sorted(sys.modules), "reached": reached}))
"""


def test_the_command_line_loads_nothing_heavy() -> None:
    loaded = set(output_of("import cyberun_mcp.cli, json, sys; print(json.dumps(sorted(sys.modules)))"))
    heavy = {"mcp", "mcp_types", "pydantic", "httpx2", "starlette", "uvicorn", "PIL", "rich", "sqlite3", "anyio"}
    assert not loaded & heavy


def test_the_first_answers_load_nothing_that_only_a_call_needs() -> None:
    listed = output_of(LISTING)
    assert listed["tools"] == [tool.name for tool in TOOLS]
    needless = {"jsonschema", "cyberun_mcp.api.client", "cyberun_mcp.emulator", "PIL", "rich", "sqlite3"}
    assert not set(listed["loaded"]) & needless


def test_the_first_answers_open_no_connection() -> None:
    assert output_of(LISTING)["reached"] == []


def output_of(program: str) -> Any:
    """The JSON a Python program of its own prints."""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(finished.stdout)
