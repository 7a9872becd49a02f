"""The endpoint under load, side by side in one run with (a) a bare SDK server and (b) FastMCP.from_openapi.

    python -m benchmarks.endpoint [throughput] [waits] [many] [start] [memory]    (default: all)

Needs Linux, and makes `.venv-fastmcp` for (b). Prints Markdown tables, and what was aimed at beside them.
"""

import argparse
import statistics
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

import anyio

from benchmarks.endpoint import servers
from benchmarks.endpoint.load import VERSIONS, Calls, Waits, calls, percentile, request, waits
from benchmarks.endpoint.servers import Server

ROUNDS = 5
SECONDS = 2.0  # of each level in each round
LEVELS = (1, 32, 256)
SECTIONS = ("throughput", "waits", "many", "start", "memory")
CALLS = 100_000

Came = TypeVar("Came")


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endpoint", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"some of: {', '.join(SECTIONS)}")
    chosen = parser.parse_args().sections or SECTIONS
    servers.raise_the_limit_of_open_files()
    with servers.platform() as base_url:
        for section in chosen:
            {
                "throughput": throughput,
                "waits": wait_side_by_side,
                "many": many_waits,
                "start": start,
                "memory": memory,
            }[section](base_url)


def _run(work: Callable[[], Coroutine[Any, Any, Came]]) -> Came:
    """Run with uvloop where it is installed: the load must not be what is slow."""
    return anyio.run(work, backend_options={"use_uvloop": find_spec("uvloop") is not None})


def throughput(base_url: str) -> None:
    """Calls a second of one cheap tool, at each level, in each era; servers in turn."""
    print(f"\n### Calls: {ROUNDS} rounds of {SECONDS:g} s, servers in turn, medians\n")
    print("| era | connections | server | calls/s | p50 ms | p99 ms | calls/s ÷ (a) | ÷ (b) |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    with ExitStack() as stack:
        started = [
            stack.enter_context(each)
            for each in (servers.ours(base_url), servers.bare(), servers.from_openapi(base_url))
        ]
        for era in VERSIONS:
            for level in LEVELS:
                rounds: dict[str, list[Calls]] = {each.name: [] for each in started}
                for _ in range(ROUNDS):
                    for each in started:
                        rounds[each.name].append(_call_for_a_while(each, era, level))
                rates = {name: statistics.median(each.rate for each in came) for name, came in rounds.items()}
                for name, came in rounds.items():
                    print(_throughput_row(era, level, name, came, rates), flush=True)


def _call_for_a_while(server: Server, era: str, level: int) -> Calls:
    tool = "nothing" if server.name.startswith("(a)") else "list_workflows"
    came = _run(partial(calls, server.port, request(era, tool, {}), level, SECONDS))
    if came.refused:
        raise SystemExit(f"{server.name} refused {came.refused} of {len(came.seconds)} calls")
    return came


def _throughput_row(era: str, level: int, name: str, came: list[Calls], rates: dict[str, float]) -> str:
    median = statistics.median
    a, b = (next(rate for each, rate in rates.items() if each.startswith(peer)) for peer in ("(a)", "(b)"))
    p50, p99 = (median(each.percentile(percent) for each in came) * 1000 for percent in (50, 99))
    rate = rates[name]
    return f"| {era} | {level} | {name} | {rate:,.0f} | {p50:.1f} | {p99:.1f} | {rate / a:.2f} | {rate / b:.2f} |"


def wait_side_by_side(base_url: str) -> None:
    """100 and 1,000 waits at an event a second, ours and (a), which makes its notifications up."""
    _waits_header("waits at one event a second; the relay is the time from the event to the notification")
    for count in (100, 1_000):
        for era in VERSIONS:
            for named in (servers.ours(base_url), servers.bare()):
                with named as server:
                    print(_waits_row(era, server.name, _wait(server, era, count)), flush=True)


def many_waits(base_url: str) -> None:
    """5,000 waits, with one worker and with two."""
    _waits_header("5,000 waits")
    for era in VERSIONS:
        for workers in (1, 2):
            with servers.ours(base_url, "--workers", str(workers)) as server:
                name = f"{server.name} --workers {workers}"
                print(_waits_row(era, name, _wait(server, era, 5_000)), flush=True)


def _waits_header(title: str) -> None:
    print(f"\n### {title}\n")
    print("| era | waits | server | relay p50 ms | p99 ms | KiB a wait | calls p99 ms | open after s | ended | lost |")
    print("|---|---:|---|---:|---:|---:|---:|---:|---:|---:|")


def _wait(server: Server, era: str, count: int) -> Waits:
    bare = server.name.startswith("(a)")
    ramp, settle, still = max(2.0, count / 200), 2.0, 6.0
    seconds = int(2 * ramp + settle + still + 3)  # so that the first ones still run when the last ones have begun
    messages = [
        request(era, "wait", {"seconds": seconds}, f"p{number}")
        if bare
        else request(
            era, "stream_task_events", {"task_id": f"wait-{seconds}-{number}", "timeout_seconds": 600}, f"p{number}"
        )
        for number in range(count)
    ]
    ordinary = request(era, "nothing" if bare else "list_workflows", {})
    return _run(partial(waits, server.port, messages, ramp, ordinary, server.resident_kib, settle, still))


def _waits_row(era: str, name: str, came: Waits) -> str:
    p50, p99 = (percentile(came.stamps, percent) * 1000 for percent in (50, 99))
    calm = came.meanwhile.percentile(99) * 1000
    return (
        f"| {era} | {came.count:,} | {name} | {p50:.1f} | {p99:.1f} | {came.resident_kib:.0f} | {calm:.0f} |"
        f" {came.opened:.0f} | {came.completed:,} | {came.count - came.completed:,} |"
    )


def start(base_url: str) -> None:
    """From the start of the process to its first answer."""
    print("\n### Start, to the first answer of any kind: median of 5, servers in turn\n")
    print("| server | ms | resident MiB |\n|---|---:|---:|")
    took: dict[str, list[tuple[float, float]]] = {}
    for _ in range(5):
        for named in (servers.ours(base_url), servers.bare(), servers.from_openapi(base_url)):
            with named as server:
                took.setdefault(server.name, []).append((server.started, server.resident_kib() / 1024))
    for name, rounds in took.items():
        seconds, resident = (statistics.median(each[part] for each in rounds) for part in (0, 1))
        print(f"| {name} | {seconds * 1000:.0f} | {resident:.0f} |")


def memory(base_url: str) -> None:
    """Resident memory before and after many calls."""
    print(f"\n### Memory after {CALLS:,} calls, half of them in each era, on 32 connections\n")
    print("| calls | resident MiB |\n|---:|---:|")
    with servers.ours(base_url) as server:
        print(f"| 0 | {server.resident_kib() / 1024:.1f} |")
        done = 0
        for _ in range(2):
            for era in VERSIONS:
                message = request(era, "list_workflows", {})
                came = _run(partial(calls, server.port, message, 32, 600, most=CALLS // 4))
                done += len(came.seconds)
                print(f"| {done:,} | {server.resident_kib() / 1024:.1f} |", flush=True)


if __name__ == "__main__":
    main()
