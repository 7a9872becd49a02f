"""A client that leaves ends its wait at once; the paid task, whose id it was told first, runs on."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx2
import pytest

from tests.faults.exchange import Exchange
from tests.faults.platform import FaultyPlatform, Subject, running
from tests.faults.stage import CHANNELS, COMMAND, KEY, Told, connected, environment_for, http_server

AT_ONCE = 2.0  # seconds; a busy machine's, not ours
FIRST_WORD = 1.0  # seconds from the call to the first notification: 0.3 on a machine that does nothing else


async def never_answers(exchange: Exchange, _: Subject) -> None:
    await exchange.stall()


async def runs_on(exchange: Exchange, _: Subject) -> None:
    await exchange.open_events()
    await exchange.event("status", status="running")
    await exchange.stall()


@pytest.fixture(scope="module")
def platform() -> Iterator[FaultyPlatform]:  # of real sockets, unlike the one it stands in for
    scripts = {("watched", "events"): runs_on, ("silent", "events"): never_answers, ("silent", ""): never_answers}
    platform = FaultyPlatform(scripts)
    with running(platform):
        yield platform


@pytest.fixture(scope="module")
def endpoint(platform: FaultyPlatform) -> Iterator[str]:
    with http_server(platform.base_url) as url:
        yield url


async def until(condition: Callable[[], bool], within: float = AT_ONCE) -> float:
    """Seconds until something holds; fails when it does not soon."""
    began = time.monotonic()
    with anyio.fail_after(within):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other processes and threads
            await anyio.sleep(0.01)
    return time.monotonic() - began


def left(platform: FaultyPlatform, task_id: str) -> bool:
    """Whether the stream of a task was opened and closed again by the server."""
    return [seen for seen in platform.hung_up if seen in platform.seen(task_id, "events")] != []


@pytest.mark.parametrize("channel", CHANNELS)
async def test_the_first_word_comes_at_once_though_the_platform_says_nothing(
    platform: FaultyPlatform, endpoint: str, channel: str
) -> None:
    told: list[Told] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(Told(time.monotonic(), progress, total, message))

    async with connected(channel, platform.base_url, endpoint) as client:
        began = time.monotonic()
        arguments = {"task_id": f"silent.{channel}", "timeout_seconds": 1}
        await client.call_tool("stream_task_events", arguments, progress_callback=note)
    assert told[0].at - began < FIRST_WORD
    assert f"task silent.{channel}:" in str(told[0].message)


@pytest.mark.parametrize("channel", [each for each in CHANNELS if each != "http-legacy"])
async def test_a_cancelled_call_ends_at_once_and_leaves_the_task_alone(
    platform: FaultyPlatform, endpoint: str, channel: str
) -> None:
    # Over stateless HTTP the cancellation of a 2025 client cannot reach its call; closing the response does, below.
    task_id = f"watched.cancelled-{channel}"
    async with connected(channel, platform.base_url, endpoint) as client, anyio.create_task_group() as calls:
        calls.start_soon(client.call_tool, "stream_task_events", {"task_id": task_id})
        await until(lambda: platform.seen(task_id, "events") != [])
        calls.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await until(lambda: left(platform, task_id))
            after = await client.call_tool("get_task", {"task_id": task_id})
    assert after.structured_content is not None
    assert not platform.seen(task_id, "cancel")


@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
async def test_a_closed_response_ends_the_wait_at_once(platform: FaultyPlatform, endpoint: str, era: str) -> None:
    task_id = f"watched.closed-{era}"
    request = call_message(era, "stream_task_events", task_id=task_id)
    headers = {"Authorization": f"Bearer {KEY}", "Accept": "application/json, text/event-stream"}
    headers |= {"MCP-Protocol-Version": era, "Mcp-Method": "tools/call", "Mcp-Name": "stream_task_events"}
    async with httpx2.AsyncClient(headers=headers) as http, http.stream("POST", endpoint, json=request) as response:
        assert response.status_code == 200
        lines = response.aiter_lines()  # kept, since what drops the iterator hangs up
        first = await anext(each async for each in lines if task_id in each)
        assert '"progress":0' in first
        await until(lambda: platform.seen(task_id, "events") != [])
    await until(lambda: left(platform, task_id))
    assert not platform.seen(task_id, "cancel")


@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
async def test_a_client_that_goes_away_ends_the_wait_and_the_process(
    platform: FaultyPlatform, era: str, how: str
) -> None:
    task_id = f"watched.{how}-{era}".replace(" ", "-")
    process = subprocess.Popen(  # noqa: ASYNC220 - it is only started here
        [COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment_for(platform.base_url, CYBERUN_API_KEY=KEY)},
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(b"".join(json.dumps(each).encode() + b"\n" for each in conversation(era, task_id)))
        process.stdin.flush()
        await until(lambda: platform.seen(task_id, "events") != [], within=10)
        if how == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        await until(lambda: left(platform, task_id))
        assert await until(lambda: process.poll() is not None) < AT_ONCE
    assert process.returncode == 0
    assert not platform.seen(task_id, "cancel")


def conversation(era: str, task_id: str) -> Iterator[dict[str, Any]]:
    """What a client of an era says up to its call."""
    if era < "2026":
        client = {"clientInfo": {"name": "test", "version": "1"}, "capabilities": {}}
        yield {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": era, **client}}
        yield {"jsonrpc": "2.0", "method": "notifications/initialized"}
    yield call_message(era, "stream_task_events", task_id=task_id)


def call_message(era: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tools/call with a progress token, as a client of an era puts it."""
    meta: dict[str, Any] = {"progressToken": "canary-token"}
    if era >= "2026":
        prefix = "io.modelcontextprotocol/"
        meta[f"{prefix}protocolVersion"] = era
        meta[f"{prefix}clientInfo"] = {"name": "test", "version": "1"}
        meta[f"{prefix}clientCapabilities"] = {}
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
