"""Waits of a process that falls behind: they rest between reads, and lose nothing by it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

import anyio
import pytest

from cyberun_mcp.api.client import Platform
from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.api.events import TaskState
from cyberun_mcp.api.follow import Follower
from cyberun_mcp.api.throttle import LATE, LONGEST, ON_TIME, SHORTEST, TICK, Pace
from cyberun_mcp.settings import Settings
from tests.faults.exchange import next_request
from tests.memory_network import MemoryNetwork, MemoryPool
from tests.properties.virtual_clock import VirtualClock, run_at_once

STEPS = 60
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A task that takes sixty steps of 20 ms, and then completes."""
    await next_request(reader)
    writer.write(HEAD)
    for step in range(1, STEPS + 1):
        data = json.dumps({"progress": step / STEPS, "step_current": step, "step_total": STEPS})
        writer.write(f"event: progress\ndata: {data}\n\n".encode())
        await asyncio.sleep(0.02)
    writer.write(b'event: completed\ndata: {"status": "completed", "output": {"storage_key": "k"}}\n\n')
    writer.close()


@dataclass
class Heard:
    states: list[TaskState] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def note(self, state: TaskState) -> None:
        self.states.append(state)
        self.at.append(anyio.current_time())

    @property
    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.at)]


@asynccontextmanager
async def following(pace: Pace) -> AsyncIterator[tuple[Follower, Heard]]:
    heard = Heard()
    settings = Settings(base_url="http://platform.test/api/v1")
    platform = Platform(settings, MemoryPool(MemoryNetwork(busy)), pace=pace)
    client = platform.client_for(credential_from("sk-12345678"), anyio.current_time() + 20)
    yield Follower(client, "a", on_change=heard.note), heard
    await platform.aclose()


@pytest.mark.parametrize("rest", [0.0, 0.4])
def test_a_wait_that_rests_hears_every_event_and_none_much_later(rest: float) -> None:
    pace = Pace()
    pace.rest = rest

    async def follow() -> tuple[Follower, Heard, float]:
        async with following(pace) as (follower, heard):
            assert await follower.until_terminal()
            return follower, heard, anyio.current_time()

    follower, heard, took = run_at_once(follow)
    assert [each.step_current for each in heard.states if not each.terminal] == list(range(1, STEPS + 1))
    assert heard.states[-1].task_status == "completed"
    assert heard.states[-1].output == {"storage_key": "k"}
    assert took <= STEPS * 0.02 + rest + 1e-6  # a rest for each event would be 24 seconds
    assert (follower.source.polls, follower.source.reconnects) == (0, 0)
    if rest:
        rests = [pause for pause in heard.pauses if pause >= rest]
        assert 1 <= len(rests) <= 3
        after = heard.pauses[heard.pauses.index(rests[0]) + 1 :][:10]
        assert max(after) == 0  # what had piled up comes at once


@pytest.mark.parametrize(("held_up", "rest"), [(0.0, 0.0), (0.9 * LATE, 0.0), (1.1 * LATE, SHORTEST)])
def test_a_process_that_is_held_up_notices(held_up: float, rest: float) -> None:
    async def work() -> float:
        pace = Pace()
        clock = asyncio.get_running_loop()
        assert isinstance(clock, VirtualClock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pace.keep)
            await anyio.sleep(TICK / 2)
            clock.hold_up(TICK / 2 + held_up)
            await anyio.sleep(TICK / 2)
            tasks.cancel_scope.cancel()
        return pace.rest

    assert run_at_once(work) == rest


def rests(pace: Pace, late: float, ticks: int) -> Iterator[float]:
    for _ in range(ticks):
        pace.learn(late)
        yield pace.rest


def test_rests_grow_within_bounds_while_late_and_end_when_there_is_room() -> None:
    pace = Pace()
    grown = list(rests(pace, late=2 * LATE, ticks=20))
    assert grown[0] == SHORTEST
    assert grown == sorted(grown)
    assert pace.rest == LONGEST
    pace.learn((LATE + ON_TIME) / 2)
    assert pace.rest == LONGEST
    shrinking = list(takewhile(bool, rests(pace, late=0.0, ticks=1_000)))
    assert shrinking == sorted(shrinking, reverse=True)
    assert 20 < len(shrinking) < 80
    assert pace.rest == 0.0
