"""How long a client waits for its first list of tools: `cyberun-mcp` against the least a server on the SDK can be.

    python -m benchmarks.startup [--rounds 15]

Both are started in turn, in the same run, in both protocol eras. The status is 1 when the ratio of the medians exceeds
`LIMIT` in either era.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from benchmarks.stdio.servers import environment

LIMIT = 0.10
WARM_UPS = 2  # rounds that fill the disk cache and write the bytecode

_ENVELOPE = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}
_INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "clientInfo": {"name": "benchmark", "version": "1"},
    "capabilities": {},
}

Message = Mapping[str, Any]
# What a client sends up to its first list, by the revision of the protocol it speaks.
ERAS: Mapping[str, Sequence[Message]] = {
    "2025-11-25": (
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": _INITIALIZE},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ),
    "2026-07-28": (
        {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": _ENVELOPE},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": _ENVELOPE},
    ),
}


@dataclass
class Measured:
    """What the rounds of one server in one era took."""

    seconds: list[float] = field(default_factory=list)
    peak_kib: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle of the times."""
        return statistics.median(self.seconds)

    @property
    def p90(self) -> float:
        """The time that nine of ten rounds stayed below."""
        return statistics.quantiles(self.seconds, n=10, method="inclusive")[-1]


def main() -> int:
    """Measure, print a Markdown table, and say whether the limit holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description="spawn to tools/list answered")
    parser.add_argument("--rounds", type=int, default=15, help="starts of each server in each era (default 15)")
    rounds: int = parser.parse_args().rounds
    print(f"Spawn to `tools/list` answered, {rounds} rounds, servers in turn; Python {sys.version.split()[0]}.\n")
    print("| protocol | server | median | p90 | peak RSS | ratio |\n|---|---|---:|---:|---:|---:|")
    ratios = [_compare(era, rounds) for era in ERAS]
    worst = max(ratios)
    print(f"\nLimit {LIMIT:.2f}: {'held' if worst <= LIMIT else 'EXCEEDED'} ({worst:.3f}).")
    return 0 if worst <= LIMIT else 1


def _compare(era: str, rounds: int) -> float:
    """Print one era's rows; our median over the peer's."""
    bare, ours = Measured(), Measured()
    turns = (([sys.executable, str(Path(__file__).with_name("bare_server.py"))], bare), ([_console_script()], ours))
    for number in range(-WARM_UPS, rounds):
        for command, measured in turns:
            seconds, peak = _first_list(command, ERAS[era])
            if number >= 0:
                measured.seconds.append(seconds)
                measured.peak_kib += [peak] if peak else []
    ratio = ours.median / bare.median
    print(_row(era, "bare SDK server, 2 tools", bare, 1.0))
    print(_row(era, "cyberun-mcp, 15 tools", ours, ratio), flush=True)
    return ratio


def _first_list(command: Sequence[str], messages: Sequence[Message]) -> tuple[float, int]:
    """Seconds from spawning a server until it has listed its tools, and its peak memory by then in KiB."""
    began = time.perf_counter()
    server = subprocess.Popen(
        command,
        env=environment(CYBERUN_API_KEY="sk-benchmark-not-a-key"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with server:
        requests, answers = cast("IO[bytes]", server.stdin), cast("IO[bytes]", server.stdout)
        answer = {}
        for message in messages:
            answer = _exchange(requests, answers, message)
        seconds = time.perf_counter() - began
        if not answer.get("result", {}).get("tools"):
            raise SystemExit(f"{command[0]} did not list its tools: {answer}")
        return seconds, _peak_kib(server.pid)


def _exchange(requests: IO[bytes], answers: IO[bytes], message: Message) -> dict[str, Any]:
    """Send one message; the answer to it, or nothing where none is due."""
    requests.write(json.dumps(message).encode() + b"\n")
    requests.flush()
    if "id" not in message:
        return {}
    line = answers.readline()
    if not line:
        raise SystemExit(f"the server ended before it answered {message['method']}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _console_script() -> str:
    """The installed `cyberun-mcp` of this interpreter."""
    script = shutil.which("cyberun-mcp", path=str(Path(sys.executable).parent))
    if script is None:
        raise SystemExit("cyberun-mcp is not installed beside this Python: pip install -e .")
    return script


def _peak_kib(pid: int) -> int:
    """The process's peak resident memory in KiB; 0 where the system does not tell (it is Linux's /proc that does)."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _row(era: str, server: str, measured: Measured, ratio: float) -> str:
    peak = f"{statistics.median(measured.peak_kib) / 1024:.1f} MiB" if measured.peak_kib else "n/a"
    return (
        f"| {era} | {server} | {measured.median * 1000:.0f} ms | {measured.p90 * 1000:.0f} ms | {peak} | {ratio:.3f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
