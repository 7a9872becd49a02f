"""A platform that cannot be reached at first, and one that is asked by very many at once."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from mcp import Client

from tests.faults.exchange import Exchange
from tests.faults.platform import FaultyPlatform, Subject, running
from tests.faults.stage import CHANNELS, call, connected, http_server

DOOR_OPENS_AFTER = 1.5  # seconds; a server on a busy machine needs part of that to begin at all
CROWD = 300  # waits at a time; three times what ordinary calls have connections for
AT_ONCE = 2.0  # seconds; a busy machine's, not ours


@asynccontextmanager
async def connected_on_its_own(channel: str, platform: FaultyPlatform, **settings: str) -> AsyncIterator[Client]:
    """A client whose server has never met the platform."""
    if channel.startswith("stdio"):
        async with connected(channel, platform.base_url, "", **settings) as client:
            yield client
    else:
        with http_server(platform.base_url, **settings) as endpoint:
            async with connected(channel, platform.base_url, endpoint) as client:
                yield client


@pytest.mark.parametrize("channel", CHANNELS)
async def test_calls_begun_while_connections_are_refused_end_well_once_they_are_not(channel: str) -> None:
    platform = FaultyPlatform({})
    with running(platform, open_at_once=False) as open_door:
        async with connected_on_its_own(channel, platform) as client, anyio.create_task_group() as calls:

            async def wait() -> None:
                arguments = {"task_id": "patient.1", "timeout_seconds": 10}
                outcome = await call(client, platform, "patient.1", "stream_task_events", arguments)
                assert outcome.answer["task_status"] == "completed"
                assert outcome.answer["source"]["reconnects"] >= 1
                assert DOOR_OPENS_AFTER < outcome.took < 10

            async def run() -> None:
                outcome = await call(
                    client, platform, "fox", "run_workflow_by_slug", {"workflow_slug": "fox", "body": {}}
                )
                assert outcome.answer == {"task_id": platform.created[0]["id"]}

            calls.start_soon(wait)
            calls.start_soon(run)
            await anyio.sleep(DOOR_OPENS_AFTER)
            await anyio.to_thread.run_sync(open_door)
    assert len(platform.created) == len(platform.seen("fox", "run")) == 1


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_platform_that_is_never_reached_is_told_in_time_and_nothing_is_called_unknown(channel: str) -> None:
    platform = FaultyPlatform({})
    with running(platform, open_at_once=False):
        async with (
            connected_on_its_own(channel, platform, CYBERUN_CALL_TIMEOUT="2") as client,
            anyio.create_task_group() as calls,
        ):

            async def wait() -> None:
                arguments = {"task_id": "patient.1", "timeout_seconds": 1}
                outcome = await call(client, platform, "patient.1", "stream_task_events", arguments)
                assert "Cyberun could not be reached: ConnectError" in outcome.refusal
                assert "patient.1" in outcome.refusal
                assert 1 <= outcome.took < 1 + AT_ONCE

            async def run() -> None:
                outcome = await call(
                    client, platform, "fox", "run_workflow_by_slug", {"workflow_slug": "fox", "body": {}}
                )
                assert "Cyberun could not be reached" in outcome.refusal
                assert "unknown" not in outcome.refusal
                assert outcome.took < 2 + AT_ONCE

            calls.start_soon(wait)
            calls.start_soon(run)
    assert platform.requests == []


async def never_answers(exchange: Exchange, _: Subject) -> None:
    await exchange.stall()


@pytest.mark.parametrize("channel", ["stdio-auto", "http-auto"])
async def test_a_crowd_of_waits_on_a_platform_that_stalls_does_not_starve_ordinary_calls(channel: str) -> None:
    platform = FaultyPlatform({("crowd", "events"): never_answers, ("crowd", ""): never_answers})
    with running(platform):
        async with connected_on_its_own(channel, platform) as client, anyio.create_task_group() as calls:
            for number in range(CROWD):
                calls.start_soon(client.call_tool, "stream_task_events", {"task_id": f"crowd.{number}"})
            with anyio.fail_after(20):
                # Their streams have stalled, and now they all ask for their tasks, which stalls too.
                while sum(seen.path.endswith("/events") is False for seen in platform.requests) < CROWD:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            for _ in range(10):
                began = time.monotonic()
                answer = await client.call_tool("list_agents", {})
                assert not answer.is_error
                assert time.monotonic() - began < AT_ONCE
            calls.cancel_scope.cancel()
