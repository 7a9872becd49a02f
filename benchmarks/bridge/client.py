"""A client of a shim, and the remote behind it, as processes that cannot keep the benchmark waiting for ever."""

import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from benchmarks.bridge.peers import environment
from benchmarks.bridge.remote import KEY

Message = dict[str, Any]
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
ROOT = Path(__file__).parents[2]


class Gone(Exception):
    """The shim has ended, or closed its output."""


class Silent(Exception):
    """The shim has said nothing in the time it had."""


class Client:
    """One shim process."""

    def __init__(self, command: Sequence[str]) -> None:
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
        )
        self._out = cast("IO[bytes]", self.process.stdout).fileno()
        self._in = cast("IO[bytes]", self.process.stdin)
        self._buffer = bytearray()

    def send(self, *messages: Message) -> None:
        """Write messages, in one go."""
        try:
            self._in.write(b"".join(json.dumps({"jsonrpc": "2.0", **each}).encode() + b"\n" for each in messages))
            self._in.flush()
        except OSError as error:
            raise Gone from error

    def receive(self, seconds: float = 20) -> Message:
        """The next message. Raises Gone or Silent."""
        end, seen = time.monotonic() + seconds, 0
        while (place := self._buffer.find(b"\n", seen)) < 0:
            seen = len(self._buffer)
            if not select.select([self._out], [], [], max(0.0, end - time.monotonic()))[0]:
                raise Silent
            piece = os.read(self._out, 1 << 20)
            if not piece:
                raise Gone
            self._buffer += piece
        line = bytes(self._buffer[:place])
        del self._buffer[: place + 1]
        message: Message = json.loads(line)
        return message

    def answer_to(self, request_id: int, seconds: float = 20) -> Message:
        """The answer to a request; what comes before it is skipped."""
        end = time.monotonic() + seconds
        while (message := self.receive(max(0.0, end - time.monotonic()))).get("id") != request_id:
            continue
        return message

    def initialize(self, seconds: float = 20) -> Message:
        """The handshake; the answer to `initialize`."""
        self.send({"id": 0, "method": "initialize", "params": INITIALIZE})
        answer = self.answer_to(0, seconds)
        if "result" in answer:
            self.send({"method": "notifications/initialized"})
        return answer

    def resident_mib(self) -> float:
        """Memory in use now; 0 where the system does not tell (it is Linux's /proc that does)."""
        status = Path(f"/proc/{self.process.pid}/status")
        lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


@contextmanager
def client(command: Sequence[str]) -> Iterator[Client]:
    """A shim, killed at the end."""
    running = Client(command)
    with running.process:
        try:
            yield running
        finally:
            running.process.kill()


class Remote:
    """The remote's process; killed and started again, it keeps its port."""

    def __init__(self) -> None:
        self.port = 0
        self.said: queue.Queue[str] = queue.Queue()
        self.start()

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        """Start it; returns when it listens."""
        command = [sys.executable, "-m", "benchmarks.bridge.remote", str(self.port)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env=environment()
        )
        output = cast("IO[str]", self._process.stdout)
        self.port = int(output.readline().split()[1])
        threading.Thread(target=self._listen, args=(output,), daemon=True).start()

    def kill(self) -> None:
        """End it without a goodbye."""
        self._process.kill()
        self._process.wait()

    def says(self, text: str, seconds: float) -> bool:
        """Whether it says so in time."""
        end = time.monotonic() + seconds
        try:
            while self.said.get(timeout=max(0.01, end - time.monotonic())) != text:
                continue
        except queue.Empty:
            return False
        return True

    def _listen(self, output: IO[str]) -> None:
        with output:
            for line in output:
                self.said.put(line.strip())


def call(request_id: int, arguments: Message, mark: int | str | None = None) -> Message:
    """A tools/call; `mark` is the token of its progress, if it wants any."""
    meta = {} if mark is None else {"_meta": {"progressToken": mark}}
    return {"id": request_id, "method": "tools/call", "params": {"name": "do", "arguments": arguments, **meta}}


def use_key(key: str = KEY) -> None:
    """Have the shims started from now on use this key."""
    os.environ["CYBERUN_API_KEY"] = key
