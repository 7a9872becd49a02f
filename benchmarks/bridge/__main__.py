"""Our bridge beside the shims people use, in one run.

    python -m benchmarks.bridge [--rounds 7]

Each round starts every shim once, in turn; the table shows the medians. The status is 1 when a goal is missed.
"""

import argparse
import datetime as dt
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks.bridge.behaviour import GOOD, SITUATIONS, behaviour_of
from benchmarks.bridge.client import Remote, use_key
from benchmarks.bridge.peers import Shim, shims
from benchmarks.bridge.speed import CROWD, Speed, measure, measure_directly

WARM_UPS = 1  # rounds that fill the disk cache and write the bytecode
GOALS = {"start": 0.25, "call": 0.6, "crowded_call": 0.6, "mib": 0.3, "mib_after": 0.3}  # times mcp-remote's


def main() -> int:
    """Measure, print the tables in Markdown, and say whether the goals hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bridge", description="stdio shims, side by side")
    parser.add_argument("--rounds", type=int, default=7, help="starts of each shim (default 7)")
    rounds: int = parser.parse_args().rounds
    use_key()
    compared = shims()
    python, system = sys.version.split()[0], f"{platform.system()} {platform.machine()}"
    print(f"{dt.datetime.now(dt.UTC).date()}, {rounds} rounds, shims in turn, medians; Python {python}, {system}.")
    print("Remote: the SDK's server on loopback, with sessions. Reproduce: `python -m benchmarks.bridge`.\n")
    medians, direct = _speeds(compared, rounds)
    _print_speeds(compared, medians, direct)
    outcomes = [behaviour_of(each) for each in compared]
    _print_table(
        ["", *(each.name for each in compared)],
        [[situation, *(each[situation] for each in outcomes)] for situation in SITUATIONS],
    )
    return _verdict(_ratios(medians, direct), outcomes[0])


def _speeds(compared: Sequence[Shim], rounds: int) -> tuple[list[Speed], tuple[float, float]]:
    """The medians of each shim, and of the remote without one."""
    remote = Remote()
    try:
        taken: list[list[Speed]] = [[] for _ in compared]
        direct: list[tuple[float, float]] = []
        for number in range(-WARM_UPS, rounds):
            directly = measure_directly(remote)
            measured = [measure(each.command(remote.url)) for each in compared]
            if number >= 0:
                direct.append(directly)
                for each, speed in zip(taken, measured, strict=True):
                    each.append(speed)
    finally:
        remote.kill()
    one, crowded = (statistics.median(column) for column in zip(*direct, strict=True))
    return [Speed(*map(statistics.median, zip(*each, strict=True))) for each in taken], (one, crowded)


def _ratios(medians: Sequence[Speed], direct: tuple[float, float]) -> Mapping[str, float]:
    """Ours over mcp-remote's, of what a shim adds."""
    ours, theirs = medians[0], medians[1]
    return {
        "start": ours.start / theirs.start,
        "call": (ours.call - direct[0]) / (theirs.call - direct[0]),
        "crowded_call": (ours.crowded_call - direct[1]) / (theirs.crowded_call - direct[1]),
        "mib": ours.mib / theirs.mib if theirs.mib else 0.0,
        "mib_after": ours.mib_after / theirs.mib_after if theirs.mib_after else 0.0,
    }


def _print_speeds(compared: Sequence[Shim], medians: Sequence[Speed], direct: tuple[float, float]) -> None:
    rows: Sequence[tuple[str, Callable[[Speed], str]]] = (
        ("spawn → `initialize` answered", lambda it: f"{it.start * 1000:.0f} ms"),
        (f"added to a call ({direct[0] * 1000:.2f} ms without a shim)", lambda it: _added(it.call, direct[0])),
        (f"the same, {CROWD} in flight ({direct[1] * 1000:.2f} ms)", lambda it: _added(it.crowded_call, direct[1])),
        ("a result of 2 MB", lambda it: f"{it.big * 1000:.0f} ms"),
        ("progress notifications", lambda it: f"{it.events_per_second:,.0f}/s" if it.events_per_second else "lost"),
        ("memory after the first call", lambda it: f"{it.mib:.0f} MiB"),
        ("memory after all of it", lambda it: f"{it.mib_after:.0f} MiB"),
    )
    table = [[title, *(cell(each) for each in medians)] for title, cell in rows]
    _print_table(["", *(each.name for each in compared)], table)


def _added(seconds: float, direct: float) -> str:
    return f"{(seconds - direct) * 1000:.2f} ms"


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"| {' | '.join(head)} |\n|---{'|---' * (len(head) - 1)}|")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n", flush=True)


def _verdict(ratios: Mapping[str, float], behaviour: Mapping[str, str]) -> int:
    missed = [name for name, ratio in ratios.items() if ratio > GOALS[name]]
    missed += [situation for situation, outcome in behaviour.items() if not outcome.startswith(GOOD)]
    shown = ", ".join(f"{name} {ratio:.2f} (goal {GOALS[name]})" for name, ratio in ratios.items())
    print(f"Ours over mcp-remote's: {shown}. {'MISSED: ' + ', '.join(missed) if missed else 'All goals hold.'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
