"""A client that leaves ends its wait at once; the paid task, whose id it was told first, runs on."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import anyio
import httpx2
import pytest

from tests.faults.exchange import Exchange
from tests.faults.platform import FaultyPlatform, Subject, running
from tests.faults.stage import (
    CHANNELS,
    COMMAND,
    KEY,
    PARSERS,
    PATIENT,
    Outcome,
    connected,
    environment_for,
    http_servers,
    parts_of,
    scene,
)
from tests.faults.virtual import connected_in_memory
from tests.faults.waits import WAIT
from tests.properties.virtual_clock import run_at_once
from tests.waiting import GUARD, until

AN_HOUR = 3600  # of waiting, in seconds, so that nothing but the client's leaving can be what ends a wait


async def never_answers(exchange: Exchange, _: Subject) -> None:
    await exchange.stall()


async def runs_on(exchange: Exchange, _: Subject) -> None:
    await exchange.open_events()
    await exchange.event("status", status="running")
    await exchange.stall()


SCRIPTS = {("watched", "events"): runs_on, ("silent", "events"): never_answers, ("silent", ""): never_answers}


@pytest.fixture(scope="module")
def platform() -> Iterator[FaultyPlatform]:  # of real sockets, unlike the one it stands in for
    platform = FaultyPlatform(SCRIPTS)
    with running(platform):
        yield platform


@pytest.fixture(scope="module")
def endpoints(platform: FaultyPlatform) -> Iterator[dict[str, str]]:
    """By their parser; none is needed over stdio."""
    with http_servers(platform, {PATIENT}) as servers:
        yield {"": ""} | {parser: url for (_, parser), url in servers.items()}


def left(platform: FaultyPlatform, task_id: str) -> bool:
    """Whether the stream of a task was opened and closed again by the server."""
    return [seen for seen in platform.hung_up if seen in platform.seen(task_id, "events")] != []


@pytest.mark.parametrize("channel", CHANNELS)
async def test_the_first_word_comes_though_the_platform_says_nothing(
    platform: FaultyPlatform, endpoints: dict[str, str], channel: str
) -> None:
    heard: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(str(message))

    async def wait() -> None:
        arguments = {"task_id": f"silent.{channel}", "timeout_seconds": AN_HOUR}
        await client.call_tool("stream_task_events", arguments, progress_callback=note)

    endpoint = endpoints[parts_of(channel)[2]]
    async with connected(channel, platform.base_url, endpoint) as client, anyio.create_task_group() as calls:
        calls.start_soon(wait)
        await until(lambda: heard != [])
        calls.cancel_scope.cancel()
    assert f"task silent.{channel}:" in heard[0]


@scene("stream_task_events", WAIT, events=never_answers, itself=never_answers)
def test_the_first_word_comes_at_once_though_the_platform_says_nothing(timed: Outcome) -> None:
    assert timed.told[0].at == timed.began
    assert f"task {timed.id}:" in str(timed.told[0].message)


@pytest.mark.parametrize("channel", [each for each in CHANNELS if "http-legacy" not in each])
async def test_a_cancelled_call_ends_and_leaves_the_task_alone(
    platform: FaultyPlatform, endpoints: dict[str, str], channel: str
) -> None:
    # Over stateless HTTP the cancellation of a 2025 client cannot reach its call; closing the response does, below.
    task_id = f"watched.cancelled-{channel}"
    endpoint = endpoints[parts_of(channel)[2]]
    async with connected(channel, platform.base_url, endpoint) as client, anyio.create_task_group() as calls:
        arguments = {"task_id": task_id, "timeout_seconds": AN_HOUR}
        calls.start_soon(client.call_tool, "stream_task_events", arguments)
        await until(lambda: platform.seen(task_id, "events") != [])
        calls.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await until(lambda: left(platform, task_id))
            after = await client.call_tool("get_task", {"task_id": task_id})
    assert after.structured_content is not None
    assert not platform.seen(task_id, "cancel")


def test_a_cancelled_call_ends_at_once(era: str) -> None:
    platform = FaultyPlatform(SCRIPTS)

    async def leave() -> float:
        async with connected_in_memory(platform, era, PATIENT) as client, anyio.create_task_group() as calls:
            arguments = {"task_id": "watched.1", "timeout_seconds": AN_HOUR}
            calls.start_soon(client.call_tool, "stream_task_events", arguments)
            await until(lambda: platform.seen("watched.1", "events") != [])
            calls.cancel_scope.cancel()
            cancelled_at = anyio.current_time()
            with anyio.CancelScope(shield=True):
                await until(lambda: left(platform, "watched.1"))
                left_at = anyio.current_time()
        return left_at - cancelled_at

    assert run_at_once(leave) <= 0.01  # how often `until` looks
    assert not platform.seen("watched.1", "cancel")


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
async def test_a_closed_response_ends_the_wait(
    platform: FaultyPlatform, endpoints: dict[str, str], era: str, parser: str
) -> None:
    task_id = f"watched.closed-{era}-{parser}"
    request = call_message(era, "stream_task_events", task_id=task_id, timeout_seconds=AN_HOUR)
    headers = {"Authorization": f"Bearer {KEY}", "Accept": "application/json, text/event-stream"}
    headers |= {"MCP-Protocol-Version": era, "Mcp-Method": "tools/call", "Mcp-Name": "stream_task_events"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=GUARD) as http,
        http.stream("POST", endpoints[parser], json=request) as response,
    ):
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
        await until(lambda: platform.seen(task_id, "events") != [])
        if how == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        await until(lambda: left(platform, task_id))
        await until(lambda: process.poll() is not None)
    assert process.returncode == 0
    assert not platform.seen(task_id, "cancel")


def conversation(era: str, task_id: str) -> Iterator[dict[str, Any]]:
    """What a client of an era says up to its call."""
    if era < "2026":
        client = {"clientInfo": {"name": "test", "version": "1"}, "capabilities": {}}
        yield {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": era, **client}}
        yield {"jsonrpc": "2.0", "method": "notifications/initialized"}
    yield call_message(era, "stream_task_events", task_id=task_id, timeout_seconds=AN_HOUR)


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
