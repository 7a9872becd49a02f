"""Waits of a process that falls behind: they pause between reads, and lose no events."""

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
from cyberun_mcp.api.follow import TaskFollower
from cyberun_mcp.api.throttle import LATE, LONGEST_PAUSE, ON_TIME, SHORTEST_PAUSE, TICK, Throttle
from cyberun_mcp.settings import Settings
from tests.faults.exchange import next_request
from tests.memory_network import MemoryNetwork, MemoryPool
from tests.properties.virtual_clock import VirtualClock, run_at_once

STEPS = 60
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


async def serve_sixty_steps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
class Received:
    states: list[TaskState] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def record(self, state: TaskState) -> None:
        self.states.append(state)
        self.times.append(anyio.current_time())

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.times)]


@asynccontextmanager
async def following(throttle: Throttle) -> AsyncIterator[tuple[TaskFollower, Received]]:
    received = Received()
    settings = Settings(base_url="http://platform.test/api/v1")
    platform = Platform(settings, MemoryPool(MemoryNetwork(serve_sixty_steps)), throttle=throttle)
    client = platform.client_for(credential_from("sk-12345678"), anyio.current_time() + 20)
    yield TaskFollower(client, "a", on_change=received.record), received
    await platform.aclose()


@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_a_throttled_wait_reads_every_event_without_much_delay(pause: float) -> None:
    throttle = Throttle()
    throttle.pause = pause

    async def follow() -> tuple[TaskFollower, Received, float]:
        async with following(throttle) as (follower, received):
            assert await follower.until_terminal()
            return follower, received, anyio.current_time()

    follower, received, took = run_at_once(follow)
    assert [state.step_current for state in received.states if not state.terminal] == list(range(1, STEPS + 1))
    assert received.states[-1].task_status == "completed"
    assert received.states[-1].output == {"storage_key": "k"}
    assert took <= STEPS * 0.02 + pause + 1e-6  # one pause per event would be 24 seconds
    assert (follower.source.polls, follower.source.reconnects) == (0, 0)
    if pause:
        pauses = [gap for gap in received.gaps if gap >= pause]
        assert 1 <= len(pauses) <= 3
        after = received.gaps[received.gaps.index(pauses[0]) + 1 :][:10]
        assert max(after) == 0  # the backlog is read without a pause


@pytest.mark.parametrize(("held_up", "pause"), [(0.0, 0.0), (0.9 * LATE, 0.0), (1.1 * LATE, SHORTEST_PAUSE)])
def test_a_blocked_event_loop_is_noticed(held_up: float, pause: float) -> None:
    async def work() -> float:
        throttle = Throttle()
        clock = asyncio.get_running_loop()
        assert isinstance(clock, VirtualClock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(throttle.monitor)
            await anyio.sleep(TICK / 2)
            clock.hold_up(TICK / 2 + held_up)
            await anyio.sleep(TICK / 2)
            tasks.cancel_scope.cancel()
        return throttle.pause

    assert run_at_once(work) == pause


def pauses(throttle: Throttle, lateness: float, ticks: int) -> Iterator[float]:
    for _ in range(ticks):
        throttle.adjust(lateness)
        yield throttle.pause


def test_pauses_grow_up_to_a_limit_while_late_and_end_when_there_is_spare_capacity() -> None:
    throttle = Throttle()
    grown = list(pauses(throttle, lateness=2 * LATE, ticks=20))
    assert grown[0] == SHORTEST_PAUSE
    assert grown == sorted(grown)
    assert throttle.pause == LONGEST_PAUSE
    throttle.adjust((LATE + ON_TIME) / 2)
    assert throttle.pause == LONGEST_PAUSE
    shrinking = list(takewhile(bool, pauses(throttle, lateness=0.0, ticks=1_000)))
    assert shrinking == sorted(shrinking, reverse=True)
    assert 20 < len(shrinking) < 80
    assert throttle.pause == 0.0
