"""A platform that cannot be reached at first, and one that is asked by very many at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.faults.exchange import Exchange
from tests.faults.platform import FaultyPlatform, Subject, running
from tests.faults.stage import (
    CALL,
    CHANNELS,
    IDLE,
    PATIENT,
    POLL,
    Outcome,
    call,
    connected,
    http_server,
    parts_of,
)
from tests.faults.virtual import connected_in_memory
from tests.faults.waits import GAP
from tests.parsers import environment_of
from tests.properties.virtual_clock import run_at_once
from tests.waiting import GUARD, until

OPENS = 1.5  # seconds until a platform on the virtual clock can be reached
CROWD = 150  # waits at a time; half as many again as ordinary calls have connections for
RUN: dict[str, Any] = {"workflow_slug": "fox", "body": {}}


@asynccontextmanager
async def connected_on_its_own(
    channel: str, platform: FaultyPlatform, log: Path, **settings: str
) -> AsyncIterator[Client]:
    """A client whose server has never met the platform, and says what it does in `log`."""
    transport, _, parser = parts_of(channel)
    with log.open("w", encoding="utf-8") as stderr:
        if transport == "stdio":
            async with connected(channel, platform.base_url, "", stderr, **settings) as client:
                yield client
        else:
            with http_server(platform.base_url, stderr, **environment_of(parser), **settings) as endpoint:
                async with connected(channel, platform.base_url, endpoint) as client:
                    yield client


async def wait(client: Client, platform: FaultyPlatform, seconds: int) -> Outcome:
    arguments = {"task_id": "patient.1", "timeout_seconds": seconds}
    return await call(client, platform, "patient.1", "stream_task_events", arguments)


async def run(client: Client, platform: FaultyPlatform) -> Outcome:
    return await call(client, platform, "fox", "run_workflow_by_slug", RUN)


def waited_well(outcome: Outcome) -> None:
    assert outcome.answer["task_status"] == "completed"
    assert outcome.answer["source"]["reconnects"] >= 1


def ran_once(outcome: Outcome, platform: FaultyPlatform) -> None:
    assert outcome.answer == {"task_id": platform.created[0]["id"]}
    assert len(platform.created) == len(platform.seen("fox", "run")) == 1


@pytest.mark.parametrize("channel", CHANNELS)
async def test_calls_begun_while_connections_are_refused_end_well_once_they_are_not(
    channel: str, tmp_path: Path
) -> None:
    platform, log = FaultyPlatform({}), tmp_path / "log"
    with running(platform, open_at_once=False) as open_door:
        async with connected_on_its_own(channel, platform, log) as client, anyio.create_task_group() as calls:

            async def end_well() -> None:
                waited_well(await wait(client, platform, seconds=600))

            async def run_once() -> None:
                ran_once(await run(client, platform), platform)

            def both_were_refused() -> bool:
                said = log.read_text(encoding="utf-8")
                stream = "task patient.1: the event stream failed: Cyberun could not be reached: ConnectError"
                return stream in said and "run, attempt 1: Cyberun could not be reached: ConnectError" in said

            calls.start_soon(end_well)
            calls.start_soon(run_once)
            await until(both_were_refused)
            await anyio.to_thread.run_sync(open_door)


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_platform_that_is_never_reached_is_told_and_nothing_is_called_unknown(
    channel: str, tmp_path: Path
) -> None:
    platform = FaultyPlatform({})
    with running(platform, open_at_once=False):
        async with (
            connected_on_its_own(channel, platform, tmp_path / "log", CYBERUN_CALL_TIMEOUT="2") as client,
            anyio.create_task_group() as calls,
        ):

            async def give_up_waiting() -> None:
                never_reached(await wait(client, platform, seconds=1), "patient.1")

            async def give_up_running() -> None:
                never_reached(await run(client, platform))

            calls.start_soon(give_up_waiting)
            calls.start_soon(give_up_running)
    assert platform.requests == []


def never_reached(outcome: Outcome, *words: str) -> None:
    assert "Cyberun could not be reached" in outcome.refusal
    assert "unknown" not in outcome.refusal
    assert all(each in outcome.refusal for each in words)


def test_calls_end_soon_after_connections_are_not_refused_any_more(era: str) -> None:
    platform = FaultyPlatform({})

    async def play() -> tuple[Outcome, Outcome]:
        async with connected_in_memory(platform, era, opens_at=OPENS) as client:
            waited = await wait(client, platform, seconds=10)
        async with connected_in_memory(platform, era, opens_at=anyio.current_time() + OPENS) as client:
            return waited, await run(client, platform)

    waited, ran = run_at_once(play)
    waited_well(waited)
    ran_once(ran, platform)
    assert OPENS <= waited.took <= OPENS + POLL + 2 * GAP
    assert OPENS <= ran.took <= OPENS + 8  # seconds, the longest pause before a repetition


def test_a_platform_that_is_never_reached_is_told_in_time(era: str) -> None:
    platform = FaultyPlatform({})

    async def play() -> tuple[Outcome, Outcome]:
        async with connected_in_memory(platform, era, opens_at=float("inf")) as client:
            return await wait(client, platform, seconds=1), await run(client, platform)

    waited, ran = run_at_once(play)
    never_reached(waited, "patient.1", "Cyberun could not be reached: ConnectError")
    never_reached(ran)
    assert waited.took == 1
    assert ran.took <= CALL


async def never_answers(exchange: Exchange, _: Subject) -> None:
    await exchange.stall()


@pytest.mark.parametrize("channel", [each for each in CHANNELS if "auto" in each])
async def test_a_crowd_of_waits_on_a_platform_that_stalls_does_not_starve_ordinary_calls(
    channel: str, tmp_path: Path
) -> None:
    platform = FaultyPlatform({("crowd", "events"): never_answers, ("crowd", ""): never_answers})
    limits = replace(PATIENT, events_idle=IDLE, pool_timeout=1)  # a place that is free is had at once

    def looks() -> int:
        return sum(not seen.path.endswith("/events") for seen in platform.requests)

    with running(platform):
        async with (
            connected_on_its_own(channel, platform, tmp_path / "log", **limits.environment) as client,
            anyio.create_task_group() as calls,
        ):
            for number in range(CROWD):
                arguments = {"task_id": f"crowd.{number}", "timeout_seconds": 3600}
                calls.start_soon(client.call_tool, "stream_task_events", arguments)
            # Their streams have stalled, and now they all ask for their tasks, which stalls too.
            await until(lambda: looks() == CROWD)
            with anyio.fail_after(GUARD):
                for _ in range(10):
                    answer = await client.call_tool("list_agents", {})
                    assert not answer.is_error
            assert looks() == CROWD + 10
            assert all(seen.path.endswith("/events") for seen in platform.hung_up)  # all still ask for their tasks
            calls.cancel_scope.cancel()
