"""A stdio server process, spoken to line by line."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from tests.waiting import wait_until

COMMAND = [sys.executable, "-m", "cyberun_mcp"]
KEY = "sk-canary0123456789"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "probe", "version": "1"},
}
OLD_ERAS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]


class Pipe:
    """One server process and its two pipes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin: IO[str] = process.stdin
        self.stdout: IO[str] = process.stdout

    def send(self, *messages: dict[str, Any]) -> None:
        self.stdin.write("".join(json.dumps({"jsonrpc": "2.0", **each}) + "\n" for each in messages))
        self.stdin.flush()

    def wait_until_read(self) -> None:
        """Until the server has taken all that was sent, whether or not it answers."""
        wait_until(lambda: unread(self.stdin) == 0)

    def line(self) -> str:
        line = self.stdout.readline()
        assert line, "the server closed stdout"
        return line

    def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.line())
        return message

    def answer_to(self, number: int) -> dict[str, Any]:
        while (message := self.receive()).get("id") != number:
            pass
        return message

    def initialize(self, version: str = "2025-11-25", number: int = 1) -> dict[str, Any]:
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        self.send({"id": number, "method": "initialize", "params": params})
        answer = self.answer_to(number)
        self.send({"method": "notifications/initialized"})
        return answer


def unread(pipe: IO[Any]) -> int:
    """How many bytes lie in a pipe. (On macOS the writing end cannot tell and says 0.)"""
    import fcntl
    import termios

    [size] = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, struct.pack("i", 0)))
    return int(size)


@contextmanager
def server(*arguments: str, key: str | None = KEY, **environment: str) -> Iterator[Pipe]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CYBERUN_")}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**clean, **({"CYBERUN_API_KEY": key} if key is not None else {}), **environment},
    )
    with process:
        try:
            yield Pipe(process)
        finally:
            process.kill()
