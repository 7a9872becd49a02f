"""Our server over stdio beside the least the SDK can be, a generated server, and peers that start offline, in one run.

    python -m benchmarks.stdio [--rounds 11]

Each round starts every server once, in turn; the tables show the medians. The status is 1 when a goal is missed.
"""

import argparse
import datetime as dt
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.stdio.client import (
    ALONE,
    CROWD,
    Calls,
    Start,
    measure_calls,
    measure_events,
    measure_in_turn,
    measure_start,
)
from benchmarks.stdio.servers import ANSWER_FILE, BARE, Server, environment, servers

WARM_UPS = 1  # rounds that fill the disk cache and write the bytecode
GOALS = {
    "tools/list answered": 0.10,
    "first tools/call done": 1.05,
    "one call, in turn": 1.10,
    "one progress event": 1.00,
}


def main() -> int:
    """Measure, print the tables in Markdown, and say whether the goals hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stdio", description="stdio servers, side by side")
    parser.add_argument("--rounds", type=int, default=11, help="starts of each server (default 11)")
    rounds: int = parser.parse_args().rounds
    compared = servers()
    python, system = sys.version.split()[0], f"{platform.system()} {platform.machine()}"
    print(f"{dt.datetime.now(dt.UTC).date()}, {rounds} rounds, servers in turn, medians; Python {python}, {system}.")
    print("Reproduce: `python -m benchmarks.stdio`.\n")
    with _emulator() as access:
        starts, calls, events, in_turn = _rounds(compared, rounds, access)
    _print_starts(compared, starts)
    _print_calls(compared, calls)
    print(
        f"\nProgress events a second, of one call: {events[0]:,.0f} by the SDK's transport, {events[1]:,.0f} by ours."
    )
    bare, ours = 0, 1
    return _verdict(
        {
            "tools/list answered": starts[ours].tools_list / starts[bare].tools_list,
            "first tools/call done": starts[ours].first_call / starts[bare].first_call,
            "one call, in turn": in_turn,
            "one progress event": events[0] / events[1],
        }
    )


@contextmanager
def _emulator() -> Iterator[dict[str, str]]:
    """The embedded platform, and how to reach it."""
    command = [sys.executable, "-m", "cyberun_mcp", "emulator", "--port", "0"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield dict(process.stdout.readline().strip().split("=", 1) for _ in range(2))
        finally:
            process.terminate()


def _rounds(
    compared: Sequence[Server], rounds: int, access: dict[str, str]
) -> tuple[list[Start], list[Calls], tuple[float, float], float]:
    """The medians of each server, of the events over either transport, and of our call as a part of the bare one's."""
    bare, ours = compared[:2]
    starts: list[list[Start]] = [[] for _ in compared]
    calls: list[list[Calls]] = [[] for _ in compared]
    events: list[tuple[float, float]] = []
    in_turn: list[float] = []
    local = environment(**access, BENCHMARK_ANSWER=str(ANSWER_FILE))
    for number in range(-WARM_UPS, rounds):
        started = [measure_start(each.command, environment(**access), each.first_call) for each in compared]
        called = [
            measure_calls(each.canned or each.command, local, each.local_call, each.succeeds) for each in compared
        ]
        told = [measure_events([sys.executable, BARE, *option], environment()) for option in ([], ["--our-transport"])]
        part = measure_in_turn(bare.command, ours.canned, local, ours.local_call)
        if number >= 0:
            for measured, each in zip(starts, started, strict=True):
                measured.append(each)
            for kept, one in zip(calls, called, strict=True):
                kept.append(one)
            events.append((told[0], told[1]))
            in_turn.append(part)
    by_sdk, by_us = (statistics.median(column) for column in zip(*events, strict=True))
    return (
        [Start(*map(statistics.median, zip(*each, strict=True))) for each in starts],
        [Calls(*map(statistics.median, zip(*each, strict=True))) for each in calls],
        (by_sdk, by_us),
        statistics.median(in_turn),
    )


def _print_starts(compared: Sequence[Server], starts: Sequence[Start]) -> None:
    print("| Spawn → … | `initialize` | `tools/list` | first `tools/call` | RSS |\n|---|---:|---:|---:|---:|")
    for server, each in zip(compared, starts, strict=True):
        times = " | ".join(f"{seconds * 1000:.0f} ms" for seconds in each[:3])
        print(f"| {server.name} | {times} | {each.memory:.0f} MiB |")


def _print_calls(compared: Sequence[Server], calls: Sequence[Calls]) -> None:
    print(
        f"\n| A call without network, {ALONE} a round | p50 | p99 | calls/s, 1 in flight | calls/s, {CROWD} in flight |"
    )
    print("|---|---:|---:|---:|---:|")
    for server, each in zip(compared, calls, strict=True):
        tool = f"`{server.local_call[0]}`" + ("" if server.succeeds else ", refused")
        print(
            f"| {server.name}: {tool} | {each.median * 1000:.2f} ms | {each.p99 * 1000:.2f} ms "
            f"| {each.alone:,.0f} | {each.crowded:,.0f} |"
        )


def _verdict(ratios: dict[str, float]) -> int:
    print("\n| Ours to the bare SDK server | measured | goal |\n|---|---:|---:|")
    for name, ratio in ratios.items():
        print(f"| {name} | {ratio:.2f} | ≤ {GOALS[name]:.2f} |")
    missed = [name for name, ratio in ratios.items() if ratio > GOALS[name]]
    print(f"\nMissed: {', '.join(missed)}." if missed else "\nEvery goal is met.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
