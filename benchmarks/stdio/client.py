"""A client with no more to it than pipes, and what it measures of one server."""

import json
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

INTRODUCTION = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}
ALONE, CROWDED, WARM_UP = 400, 800, 100  # calls one at a time, calls with `CROWD` in flight, and calls before either
CROWD = 32
IN_TURN = 1_000  # calls of either server
EVENTS = 5_000


class Start(NamedTuple):
    """Seconds from spawning until answered, and the memory then, in MiB."""

    initialize: float
    tools_list: float
    first_call: float
    memory: float


class Calls(NamedTuple):
    """Seconds a call takes alone, and calls a second."""

    median: float
    p99: float
    alone: float
    crowded: float


class Client:
    """One server process and the two pipes to it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._requests, self._answers = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        self._number = 0

    def send(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send one request."""
        self._number += 1
        self._write({"id": self._number, "method": method, **({"params": params} if params else {})})

    def receive(self) -> dict[str, Any]:
        """The next answer; what else comes is passed over."""
        while True:
            line = self._answers.readline()
            if not line:
                raise SystemExit(f"{self.process.args!r} ended before it answered")
            message: dict[str, Any] = json.loads(line)
            if "id" in message and "method" not in message:
                return message

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one request, and wait for its answer."""
        self.send(method, params)
        return self.receive()

    def initialize(self) -> None:
        """Introduce ourselves."""
        self.ask("initialize", INTRODUCTION)
        self._write({"method": "notifications/initialized"})

    def events(self, count: int) -> float:
        """Progress events a second."""
        self.send("tools/call", {"name": "count", "arguments": {"to": count}, "_meta": {"progressToken": 1}})
        began = time.perf_counter()
        for _ in range(count):
            self._answers.readline()
        took = time.perf_counter() - began
        self.receive()
        return count / took

    @property
    def memory(self) -> float:
        """Resident MiB; 0 where the system does not tell (it is Linux's /proc that does)."""
        status = Path(f"/proc/{self.process.pid}/status")
        lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)

    def _write(self, message: Mapping[str, Any]) -> None:
        self._requests.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._requests.flush()


@contextmanager
def started(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Client]:
    """A server, for as long as it is measured."""
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        try:
            yield Client(process)
        finally:
            process.kill()


def measure_start(command: Sequence[str], environment: Mapping[str, str], call: tuple[str, Mapping[str, Any]]) -> Start:
    """One start, up to the end of the first call."""
    began = time.perf_counter()
    with started(command, environment) as client:
        client.initialize()
        initialized = time.perf_counter() - began
        if not client.ask("tools/list")["result"]["tools"]:
            raise SystemExit(f"{command} lists no tools")
        listed = time.perf_counter() - began
        client.ask("tools/call", {"name": call[0], "arguments": call[1]})
        return Start(initialized, listed, time.perf_counter() - began, client.memory)


def measure_calls(
    command: Sequence[str], environment: Mapping[str, str], call: tuple[str, Mapping[str, Any]], succeeds: bool
) -> Calls:
    """Calls of a tool that needs no network. Ends the benchmark unless they succeed, or fail, as they should."""
    params = {"name": call[0], "arguments": call[1]}
    with started(command, environment) as client:
        client.initialize()
        for _ in range(WARM_UP):
            answer = client.ask("tools/call", params)
            if ("result" in answer and not answer["result"].get("isError")) != succeeds:
                raise SystemExit(f"{command} did not answer {call[0]} as it should: {answer}")
        taken = []
        for _ in range(ALONE):
            began = time.perf_counter()
            client.ask("tools/call", params)
            taken.append(time.perf_counter() - began)
        began = time.perf_counter()
        for number in range(CROWDED + CROWD):
            if number >= CROWD:
                client.receive()
            if number < CROWDED:
                client.send("tools/call", params)
        crowded = CROWDED / (time.perf_counter() - began)
    return Calls(statistics.median(taken), statistics.quantiles(taken, n=100)[-1], ALONE / sum(taken), crowded)


def measure_in_turn(
    first: Sequence[str], second: Sequence[str], environment: Mapping[str, str], call: tuple[str, Mapping[str, Any]]
) -> float:
    """How long a call of the second server takes, as a part of one of the first.

    Both run at the same time and are asked in turn, so that whatever else the machine does holds up both alike.
    """
    params = {"name": call[0], "arguments": call[1]}
    with started(first, environment) as one, started(second, environment) as other:
        taken: dict[Client, list[float]] = {one: [], other: []}
        for client in taken:
            client.initialize()
            for _ in range(WARM_UP):
                client.ask("tools/call", params)
        for number in range(IN_TURN):
            for client in (one, other) if number % 2 else (other, one):
                began = time.perf_counter()
                client.ask("tools/call", params)
                taken[client].append(time.perf_counter() - began)
    return statistics.median(taken[other]) / statistics.median(taken[one])


def measure_events(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Progress events a second of one call that does nothing else."""
    with started(command, environment) as client:
        client.initialize()
        client.events(EVENTS // 10)
        return client.events(EVENTS)
