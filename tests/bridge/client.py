"""Runs the bridge as a real process and acts as its client. Every wait has a limit."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from tests.waiting import GUARD

KEY = "sk-canary0123456789abcdef"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
INITIALIZE_PARAMS = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
# The command line, with a shorter wait for a remote that is down, and other liveness limits.
PROGRAM = """
import json, sys
from cyberun_mcp.bridge import event_stream, liveness, process
from cyberun_mcp.cli import main
process.STARTUP_WAIT = float(sys.argv.pop(1))
for name, seconds in json.loads(sys.argv.pop(1)).items():
    module = {"KEEP_ALIVE_SILENCE": event_stream}.get(name, liveness)
    assert hasattr(module, name)
    setattr(module, name, seconds)
main()
"""

Message = dict[str, Any]


class BridgeProcess:
    """One bridge process. A thread reads its stdout, unless `reading` is False."""

    def __init__(self, process: "subprocess.Popen[bytes]", reading: bool = True) -> None:
        self.process = process
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self.stdin: IO[bytes] = process.stdin
        self.stdout: IO[bytes] = process.stdout
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._errors: list[bytes] = []
        self._threads = [threading.Thread(target=self._read_errors, args=(process.stderr,))]
        if reading:
            self._threads.append(threading.Thread(target=self._read_lines))
        for thread in self._threads:
            thread.start()

    def write(self, raw: bytes) -> None:
        self.stdin.write(raw)
        self.stdin.flush()

    def send(self, *messages: Message) -> None:
        self.write(b"".join(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n" for message in messages))

    def read_line(self, seconds: float = GUARD) -> bytes:
        """The next line of stdout. Raises queue.Empty if there is none in time."""
        return self._lines.get(timeout=seconds)

    def receive(self, seconds: float = GUARD) -> Message:
        message: Message = json.loads(self.read_line(seconds))
        return message

    def response_to(self, request_id: Any, seconds: float = GUARD) -> Message:
        end = time.monotonic() + seconds
        while (message := self.receive(max(0.01, end - time.monotonic()))).get("id") != request_id:
            continue
        return message

    def request(self, message: Message, seconds: float = GUARD) -> Message:
        self.send(message)
        return self.response_to(message["id"], seconds)

    def initialize(self, request_id: Any = 0) -> Message:
        response = self.request({"id": request_id, "method": "initialize", "params": INITIALIZE_PARAMS})
        self.send({"method": "notifications/initialized"})
        return response

    @property
    def reports_waiting(self) -> bool:
        """Whether it has logged that its remote is down and that it waits for it."""
        return b"Waiting for it." in b"".join(self._errors)

    def errors(self) -> str:
        """All of stderr, once the process has ended."""
        for thread in self._threads:
            thread.join(GUARD)
        return b"".join(self._errors).decode()

    def _read_lines(self) -> None:
        for line in self.stdout:
            self._lines.put(line)

    def _read_errors(self, stderr: IO[bytes]) -> None:
        for line in stderr:
            self._errors.append(line)


@contextmanager
def bridge(
    *arguments: str,
    key: str | None = KEY,
    startup_wait: float = 10,
    liveness: Mapping[str, float] | None = None,
    reading: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Iterator[BridgeProcess]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(startup_wait), json.dumps(liveness or {}), "bridge", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(key) | dict(environment or {}),
    ) as process:
        running = BridgeProcess(process, reading)
        try:
            yield running
        finally:
            process.kill()
            process.wait()
            assert KEY not in running.errors()


def clean_environment(key: str | None = KEY) -> dict[str, str]:
    """The environment of this process without the variables that choose a remote, a proxy, certificates or a key."""
    prefixes = ("CYBERUN_", "SSL_CERT", "HTTPS_PROXY", "NO_PROXY")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(prefixes)}
    return kept | ({"CYBERUN_API_KEY": key} if key else {})


def call(request_id: Any, arguments: Message, era: str = "legacy", token: Any = None, name: str = "do") -> Message:
    """A tools/call, with the envelope of the 2026 era unless `era` is legacy."""
    meta = {} if era == "legacy" else dict(ENVELOPE)
    if token is not None:
        meta["progressToken"] = token
    params = {"name": name, "arguments": arguments, **({"_meta": meta} if meta else {})}
    return {"id": request_id, "method": "tools/call", "params": params}
