"""Whether the endpoint's memory levels off.

Nothing may grow with the number of callers, tasks, slugs or connections there have ever been. So every call and every
wait brings a key of its own, and an id or a slug where it names something; connections are opened anew all the time;
some callers are refused, some ask for what is not there, and some hang up.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any

from benchmarks.endpoint import servers
from benchmarks.endpoint.load import VERSIONS, connected, request
from benchmarks.endpoint.servers import Server
from benchmarks.soak.load import MIX, filled_in

LIMIT = 1.0  # MiB; the most that may be added between the first fifth of a run and its end
LOOKS = 20  # at the memory in a run
CALLERS = 32  # calls at a time
CALLS_A_CONNECTION = 50
WAITS_AT_A_TIME = 1_000
LEAVING = 0.5  # seconds after which an impatient client hangs up on a wait of one second

_ERAS = list(VERSIONS)


@dataclass
class Callers:
    """Callers of one endpoint. `outcomes` counts what came of it all, `odd` what should have come out otherwise."""

    server: Server
    outcomes: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)

    async def call(self, numbers: Iterator[int]) -> None:
        """Make the calls of these numbers, so many on a connection."""
        while batch := list(islice(numbers, CALLS_A_CONNECTION)):
            caller = await connected(self.server.port)
            for number in batch:
                message, expected = _a_call(number)
                try:
                    answer = await caller.ask(message)
                except ConnectionError:
                    answer = b""
                self._enter(_outcome(answer), expected)
            caller.transport.close()

    async def wait(self, numbers: Iterator[int]) -> None:
        """Make the waits of these numbers, one after the other. Every tenth client does not stay to the end."""
        for number in numbers:
            arguments = {"task_id": f"wait-1-{number}", "timeout_seconds": 600}
            key, token = f"sk-waiting-{number}", f"progress-{number}"
            message = request(_ERAS[number % 2], "stream_task_events", arguments, token, key)
            leaves, answer = number % 10 == 0, b""
            caller = await connected(self.server.port)
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(LEAVING if leaves else None):
                    answer = await caller.ask(message)
            caller.transport.close()
            self._enter("hung up" if leaves else _outcome(answer), "hung up" if leaves else "ok")

    def _enter(self, outcome: str, expected: str) -> None:
        self.outcomes[outcome] += 1
        if outcome != expected:
            self.odd[f"{outcome} instead of {expected}"] += 1


def _a_call(number: int) -> tuple[bytes, str]:
    """One of twenty names what is not there, one has a wrong argument, one brings no key; the others are mixed."""
    era, key, expected = _ERAS[number % 2], f"sk-calling-{number}", "error"
    arguments: dict[str, Any]
    match number // 2 % 20:
        case 0:
            tool, arguments = "get_task", {"task_id": f"missing-{number}"}
        case 1:
            tool, arguments = "get_task", {f"odd-{number}": number}
        case 2:
            tool, arguments, key, expected = "list_workflows", {}, f"nobody-{number}", "HTTP 401"
        case _:
            [tool] = random.Random(number).choices(list(MIX), [often for often, _ in MIX.values()])  # noqa: S311
            arguments, expected = filled_in(MIX[tool][1], number), "ok"
    return request(era, tool, arguments, key=key), expected


def _outcome(answer: bytes) -> str:
    if not answer.startswith(b"HTTP/1.1 200"):
        return f"HTTP {answer[9:12].decode()}" if answer else "cut off"
    return "error" if b'"isError":true' in answer else "ok"


def levels_off(what: str, total: int, minutes: float, *, fast: bool) -> bool:
    """Make so many calls, or waits, in so many minutes at most; print the memory, and tell whether it levels off."""
    servers.raise_the_limit_of_open_files()
    print(f"\n{total:,} {what}, the endpoint {'with' if fast else 'without'} the extra `fast`", flush=True)
    started = servers.ours if fast else servers.ours_without_fast
    with servers.platform() as base_url, started(base_url) as server:
        callers, memory, began = Callers(server), dict[int, float](), time.monotonic()
        step = max(1, total // LOOKS)
        for first in range(0, total, step):
            asyncio.run(_make(what, callers, _numbers(first, step, began + minutes * 60)))
            done = callers.outcomes.total()
            memory[done] = server.resident_kib() / 1024
            seconds = time.monotonic() - began
            print(f"  {done:>10,}  {memory[done]:6.1f} MiB  {seconds:6.0f} s  {done / seconds:5.0f}/s", flush=True)
            if done < first + step:
                break
    return _verdict(callers, memory, step * (total // step))


def _numbers(first: int, many: int, until: float) -> Iterator[int]:
    """So many numbers, but none when the time is over."""
    return takewhile(lambda _: time.monotonic() < until, range(first, first + many))


async def _make(what: str, callers: Callers, numbers: Iterator[int]) -> None:
    work, at_a_time = (callers.call, CALLERS) if what == "calls" else (callers.wait, WAITS_AT_A_TIME)
    await asyncio.gather(*(work(numbers) for _ in range(at_a_time)))


def _verdict(callers: Callers, memory: dict[int, float], total: int) -> bool:
    print("  " + ", ".join(f"{outcome} {number:,}" for outcome, number in sorted(callers.outcomes.items())))
    for surprise, number in callers.odd.items():
        print(f"  ! {number:,} {surprise}")
    start = total // 5
    if total not in memory or start not in memory:
        print("  UNDECIDED: the time was over before the end (see --minutes)")
        return False
    growth = memory[total] - memory[start]
    verdict = "levels off" if growth <= LIMIT else "GROWS"
    print(f"  {verdict}: {growth:+.2f} MiB from {start:,} to {total:,}, where {LIMIT:g} is allowed", flush=True)
    return growth <= LIMIT and not callers.odd
