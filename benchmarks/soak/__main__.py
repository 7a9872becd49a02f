"""Mixed calls with faults, a crowd of waits, and memory over many calls and many waits.

    python -m benchmarks.soak [mixed] [crowd] [calls] [waits] [--without-fast] [--minutes 60]    (default: mixed crowd)

Run it from the root of the repository, in an environment with the extras `dev` and `fast`, on Linux.

mixed   Ten thousand mixed calls and 200 waits over each transport, with faults in one request of twenty. It fails when
        a task was lost, a run repeated, an error internal, or when the server's open files or memory grew by more than
        5 % after the warm-up, which is a third of the load on top.
crowd   Over HTTP a crowd of waits is left waiting, and ordinary calls are timed with and without it.
calls   Half a million calls over HTTP, each by a caller of its own. It fails when the endpoint's memory grows by more
        than 1 MiB between the 100,000th and the last. Takes about ten minutes where the machine has nothing else to do.
waits   The same with 20,000 waits, at most 1,000 open at once, between the 4,000th and the last; a minute or two.

The status is 1 when one of them fails, and also when `calls` or `waits` are not finished within --minutes.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from mcp import Client

from benchmarks.soak import memory
from benchmarks.soak.load import Ledger, Load
from benchmarks.soak.platform import Unreliable
from tests.faults.exchange import Exchange
from tests.faults.platform import FaultyPlatform, Subject, running
from tests.faults.stage import connected, http_server

GROWTH = 1.05
SECTIONS = ("mixed", "crowd", "calls", "waits")
TRANSPORTS = ["stdio-auto", "http-auto"]
SERVER = "cyberun-mcp"  # in the command line of the process that is measured
SETTINGS = {
    "CYBERUN_LOG_LEVEL": "error",
    "CYBERUN_CALL_TIMEOUT": "20",
    "CYBERUN_EVENTS_IDLE": "5",
    "CYBERUN_REQUEST_TIMEOUT": "10",
}


QUIET = 6  # seconds, after which a connection that idles is closed as soon as its pool is used again


@dataclass(frozen=True)
class Footprint:
    """What a process holds: open files, and resident memory in MiB."""

    files: int
    memory: float

    def grew_beyond(self, before: "Footprint") -> bool:
        return self.files > GROWTH * before.files or self.memory > GROWTH * before.memory


def footprint_of_child() -> Footprint:
    """The footprint of the one server among our children."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            facts = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
            command = (status.parent / "cmdline").read_text(encoding="utf-8")
            if int(facts["PPid"]) == os.getpid() and SERVER in command:
                files = len(list((status.parent / "fd").iterdir()))
                return Footprint(files, int(facts["VmRSS"].split()[0]) / 1024)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    raise RuntimeError("the server is not running")


async def settled(client: Client) -> Footprint:
    """The footprint of the server once connections that were only kept in reserve have been closed."""
    await anyio.sleep(QUIET)
    for tool, arguments in (("list_agents", {}), ("stream_task_events", {"task_id": "last"}), ("list_agents", {})):
        await client.call_tool(tool, arguments)
    return footprint_of_child()


@asynccontextmanager
async def server(channel: str, platform: FaultyPlatform) -> AsyncIterator[Client]:
    """A client of a server of its own, over either transport."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "stderr.log").open("w+") as log:
        if channel.startswith("stdio"):
            async with connected(channel, platform.base_url, "", log, **SETTINGS) as client:
                yield client
        else:
            with http_server(platform.base_url, log, **SETTINGS) as endpoint:
                async with connected(channel, platform.base_url, endpoint) as client:
                    yield client


async def soak(channel: str, calls: int, waits: int, seed: int) -> bool:
    """Soak one transport, print what came of it, and tell whether all was well."""
    platform = Unreliable(seed)
    with running(platform):
        async with server(channel, platform) as client:
            load = Load(client, platform, seed)
            await load.go(calls // 3, waits // 3)
            before = await settled(client)
            began = time.monotonic()
            await load.go(calls, waits)
            took = time.monotonic() - began
            after = await settled(client)
    show(channel, load.ledger, platform, calls / took, before, after)
    return load.ledger.flawless and not after.grew_beyond(before)


def show(channel: str, ledger: Ledger, platform: Unreliable, pace: float, before: Footprint, after: Footprint) -> None:
    runs = sum(number for name, number in ledger.outcomes.items() if name.startswith("run_"))
    ended = ledger.outcomes["stream_task_events ok"]
    flaws = (len(ledger.lost), len(ledger.repeated), len(ledger.internal))
    growth = after.memory / before.memory - 1
    rows = [
        ("calls and waits answered", f"{ledger.outcomes.total():,} ({pace:.0f}/s)"),
        ("requests, and faults among them", f"{len(platform.requests):,}, {platform.faults.total():,}"),
        ("runs, and tasks made of them", f"{runs:,}, {len(platform.created):,}"),
        ("waits, ended with their output", f"{ended:,}"),
        ("tasks lost, runs repeated, internal errors", ", ".join(map(str, flaws))),
        ("open files, warm and at the end", f"{before.files} → {after.files}"),
        ("memory, warm and at the end", f"{before.memory:.1f} → {after.memory:.1f} MiB ({growth:+.1%})"),
    ]
    print(f"\n{channel}")
    for name, value in rows:
        print(f"  {name:<44} {value}")
    print("  faults:", ", ".join(f"{kind} {number}" for kind, number in sorted(platform.faults.items())))
    errors = {name: number for name, number in sorted(ledger.outcomes.items()) if name.endswith("error")}
    print("  calls that ended in an error:", errors)
    for flaw in [*ledger.lost, *ledger.repeated, *ledger.internal][:10]:
        print("  !", flaw)


async def stalls(exchange: Exchange, _: Subject) -> None:
    await exchange.stall()


async def crowd(waits: int) -> bool:
    """Time ordinary calls alone and beside a crowd of waits whose platform has gone silent."""
    platform = FaultyPlatform({("crowd", "events"): stalls, ("crowd", ""): stalls})
    with running(platform):
        async with server("http-auto", platform) as client, anyio.create_task_group() as tasks:
            alone = await milliseconds_of_calls(client)
            for number in range(waits):
                tasks.start_soon(client.call_tool, "stream_task_events", {"task_id": f"crowd.{number}"})
            with anyio.fail_after(60):
                while sum("crowd" in seen.path for seen in platform.requests) < waits:  # noqa: ASYNC110 - in a thread
                    await anyio.sleep(0.1)
            await anyio.sleep(1)
            beside = await milliseconds_of_calls(client)
            tasks.cancel_scope.cancel()
    print(f"\nhttp-auto, an ordinary call beside {waits:,} waits that hear nothing (median, 99 %)")
    print(f"  {'alone':<44} {alone[0]:.1f} ms, {alone[1]:.1f} ms")
    print(f"  {'beside them':<44} {beside[0]:.1f} ms, {beside[1]:.1f} ms")
    return beside[1] < 1000


async def milliseconds_of_calls(client: Client) -> tuple[float, float]:
    """Median and 99th percentile of ordinary calls, one after the other."""
    times = []
    for _ in range(200):
        began = time.perf_counter()
        answer = await client.call_tool("list_agents", {})
        if answer.is_error:
            raise RuntimeError(str(answer.content))
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=100)[-1]


def main() -> int:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"some of: {', '.join(SECTIONS)}")
    parser.add_argument("--calls", type=int, default=10_000, help="of mixed (default 10,000)")
    parser.add_argument("--waits", type=int, default=200, help="of mixed (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of mixed (default 1)")
    parser.add_argument("--crowd", type=int, default=1_000, help="waits of crowd (default 1,000)")
    parser.add_argument("--total-calls", type=int, default=500_000, help="of calls (default 500,000)")
    parser.add_argument("--total-waits", type=int, default=20_000, help="of waits (default 20,000)")
    parser.add_argument("--minutes", type=float, default=60, help="that calls, and waits, may take (default 60)")
    parser.add_argument("--without-fast", action="store_true", help="calls and waits without uvloop and httptools")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the client and the platform of the crowd live in here
    well = [section(name, arguments) for name in arguments.sections or SECTIONS[:2]]
    return 0 if all(well) else 1


def section(name: str, arguments: argparse.Namespace) -> bool:
    """Run one section, and tell whether all was well."""
    match name:
        case "mixed":
            mixed = [anyio.run(soak, each, arguments.calls, arguments.waits, arguments.seed) for each in TRANSPORTS]
            return all(mixed)
        case "crowd":
            return anyio.run(crowd, arguments.crowd)
        case "calls" | "waits":
            total: int = getattr(arguments, f"total_{name}")
            return memory.levels_off(name, total, arguments.minutes, fast=not arguments.without_fast)
    raise SystemExit(f"{name} is none of {', '.join(SECTIONS)}")


if __name__ == "__main__":
    sys.exit(main())
