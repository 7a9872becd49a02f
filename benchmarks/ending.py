"""How soon `cyberun-mcp` and `cyberun-mcp bridge` end when their client leaves or a signal comes.

    python -m benchmarks.ending [--rounds 10]

The status is 1 when a median exceeds its limit. The tests hold that a process ends, in order and with which status; how
soon is measured here, because a test that measures fails on a busy machine.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
from typing import IO, Any, cast

from benchmarks.startup import ERAS
from benchmarks.stdio.servers import environment

WAYS = ("end of input", "SIGINT", "SIGTERM")
SIGNAL_LIMIT = 0.3  # seconds
BRIDGE_LIMIT = 0.1  # seconds after the end of input, when clients begin to kill a bridge
COMMAND = [sys.executable, "-m", "cyberun_mcp"]
NOWHERE = "http://127.0.0.1:9/mcp"
# The last is answered by the SDK, which is loaded by then.
_CALL = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "get_task", "arguments": {}}}
MESSAGES: dict[str, list[Any]] = {
    "server": [*ERAS["2025-11-25"], _CALL],
    "bridge": [{"jsonrpc": "2.0", "id": 3, "method": "ping"}],
}


def main() -> int:
    """Measure, print a Markdown table, and say whether the limits hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ending", description="last word to exit")
    parser.add_argument("--rounds", type=int, default=10, help="ends of each process in each way (default 10)")
    rounds: int = parser.parse_args().rounds
    print(f"From the end of input or a signal to the exit, {rounds} rounds; Python {sys.version.split()[0]}.\n")
    print("| process | way | median | longest | limit |\n|---|---|---:|---:|---:|")
    kept = [_row(process, way, rounds) for process in ("server", "bridge") for way in WAYS]
    return 0 if all(kept) else 1


def _row(process: str, way: str, rounds: int) -> bool:
    limit = BRIDGE_LIMIT if (process, way) == ("bridge", "end of input") else SIGNAL_LIMIT
    seconds = [_seconds_to_end(process, way) for _ in range(rounds)]
    median = statistics.median(seconds)
    print(f"| {process} | {way} | {median * 1000:.0f} ms | {max(seconds) * 1000:.0f} ms | {limit * 1000:.0f} ms |")
    return median <= limit


def _seconds_to_end(process: str, way: str) -> float:
    arguments = ["bridge", NOWHERE] if process == "bridge" else []
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as running:
        stdin, stdout = cast("IO[bytes]", running.stdin), cast("IO[bytes]", running.stdout)
        stdin.write(b"".join(json.dumps(each).encode() + b"\n" for each in MESSAGES[process]))
        stdin.flush()
        while json.loads(stdout.readline())["id"] != 3:
            continue
        began = time.perf_counter()
        if way == "end of input":
            stdin.close()
        else:
            running.send_signal(getattr(signal, way))
        running.wait()
        return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
