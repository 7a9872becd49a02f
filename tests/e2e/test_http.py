"""`cyberun-mcp http`: a real process, its emulator beside it, real clients in both eras."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.fake_platform import error_text, structured
from tests.waiting import GUARD


@dataclass
class Endpoint:
    url: str
    key: str
    process: "subprocess.Popen[str]"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    command = [sys.executable, "-m", "cyberun_mcp", "http", "--emulator", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CYBERUN_")}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        said = {}
        for line in process.stderr:
            if "platform's key: " in line:
                said["key"] = line.rsplit(" ", 1)[1].strip()
            if "MCP endpoint: " in line:
                said["url"] = line.split()[2]
                break
        yield Endpoint(**said, process=process)
        process.send_signal(signal.SIGTERM if sys.platform != "win32" else signal.SIGINT)
        assert process.wait(timeout=GUARD) == 0
        log = process.stderr.read()
        assert "Traceback" not in log
        assert said["key"] not in log


@asynccontextmanager
async def caller(endpoint: Endpoint, era: str, key: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=GUARD) as http,
        Client(streamable_http_client(endpoint.url, http_client=http), mode=era) as client,
    ):
        yield client


async def test_a_caller_runs_a_workflow_with_live_progress_and_gets_the_file(endpoint: Endpoint, era: str) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with caller(endpoint, era, endpoint.key) as client:
        body = {"parameters": {"prompt": "a red fox at night", "steps": 30, "width": 256, "height": 256}}
        run = structured(
            await client.call_tool("run_workflow_by_slug", {"workflow_slug": "text-to-image", "body": body})
        )
        wait = {**run, "timeout_seconds": 600}
        waited = structured(await client.call_tool("stream_task_events", wait, progress_callback=hear))
        result = structured(await client.call_tool("get_task_result", run))
    assert waited["task_status"] == "completed"
    assert run["task_id"] in (heard[0][1] or "")
    assert len(heard) >= 3
    assert all(later[0] > earlier[0] for earlier, later in itertools.pairwise(heard))
    async with httpx2.AsyncClient() as plain:
        picture = await plain.get(result["download_url"])
    assert picture.content.startswith(b"\x89PNG")


async def test_callers_of_one_endpoint_act_each_with_their_own_key(endpoint: Endpoint, era: str) -> None:
    async with (
        caller(endpoint, era, endpoint.key) as ours,
        caller(endpoint, era, "sk-wrong-0123456789") as theirs,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(8):
            tasks.start_soon(_succeeds, ours)
            tasks.start_soon(_is_told_401, theirs)


async def _succeeds(client: Client) -> None:
    structured(await client.call_tool("list_workflows", {}))


async def _is_told_401(client: Client) -> None:
    assert error_text(await client.call_tool("list_workflows", {})).startswith("Cyberun HTTP 401: ")
