"""The load: requests as clients of either era send them, over plain sockets, so that the clients cost little."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, cast

VERSIONS = {"2025": "2025-11-25", "2026": "2026-07-28"}
_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_SENT_AT = re.compile(rb"t=(\d{19})")
_COMPLETED = re.compile(rb'"task_status": ?"completed"')
_FAILED = re.compile(rb'"isError": ?true|"error": ?\{')


def request(
    era: str, tool: str, arguments: dict[str, Any], token: str | None = None, key: str = "sk-benchmark"
) -> bytes:
    """The bytes of one `tools/call`."""
    meta: dict[str, Any] = dict(_ENVELOPE) if era == "2026" else {}
    if token:
        meta["progressToken"] = token
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    headers = [
        "POST /mcp HTTP/1.1",
        "Host: 127.0.0.1:8000",
        f"Authorization: Bearer {key}",
        "Accept: application/json, text/event-stream",
        "Content-Type: application/json",
        f"MCP-Protocol-Version: {VERSIONS[era]}",
        *(("Mcp-Method: tools/call", f"Mcp-Name: {tool}") if era == "2026" else ()),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*headers, "", ""]).encode() + body


class Caller(asyncio.Protocol):
    """One connection that sends a request, reads its whole answer, and tells when it is there."""

    def __init__(self) -> None:
        self.stamps: list[float] = []  # seconds between an event and its notification here
        self.answer = b""
        self._tail = b""
        self._done: asyncio.Future[None] | None = None
        self._streams = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    async def ask(self, message: bytes) -> bytes:
        """The raw answer, or the last kilobytes of a long one. Raises ConnectionError when it is cut off."""
        self.answer, self._tail, self._streams = b"", b"", False
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(message)
        await self._done
        return self.answer

    def data_received(self, data: bytes) -> None:
        if b"t=" in data:
            now = time.time_ns()
            self.stamps += [(now - int(sent)) / 1e9 for sent in _SENT_AT.findall(data)]
        self.answer = (self.answer + data)[-8_192:] if self._streams else self.answer + data
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not self._streams and found and b"ontent-" in head:
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if length is None:
                self._streams = True
            elif len(body) >= int(length[1]):
                self._finish()
        if self._streams and self.answer.endswith(b"\r\n0\r\n\r\n"):
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(ConnectionError("the answer was cut off"))

    def _finish(self) -> None:
        if self._done and not self._done.done():
            self._done.set_result(None)


async def connected(port: int) -> Caller:
    """A connection to the server."""
    _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", port)
    return caller


@dataclass
class Calls:
    """What so many seconds of calls came to."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    elapsed: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.elapsed

    def percentile(self, percent: float) -> float:
        """Seconds that so many percent of the calls stayed below."""
        return percentile(self.seconds, percent)


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent stay below."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))] if values else float("nan")


async def calls(
    port: int, message: bytes, connections: int, seconds: float, most: int | None = None, pause: float = 0.0
) -> Calls:
    """Call as fast as the answers come, on so many connections, for so long or so often."""
    came, begin = Calls(), time.perf_counter()
    callers = [await connected(port) for _ in range(connections)]

    async def on_and_on(caller: Caller) -> None:
        while time.perf_counter() - begin < seconds and (most is None or len(came.seconds) < most):
            sent = time.perf_counter()
            answer = await caller.ask(message)
            came.seconds.append(time.perf_counter() - sent)
            came.refused += not answer.startswith(b"HTTP/1.1 200") or bool(_FAILED.search(answer))
            if pause:
                await asyncio.sleep(pause)

    begin = time.perf_counter()
    await asyncio.gather(*(on_and_on(each) for each in callers))
    came.elapsed = time.perf_counter() - begin
    for each in callers:
        each.transport.close()
    return came


@dataclass
class Waits:
    """What so many concurrent waits came to."""

    count: int
    completed: int = 0
    lost: int = 0
    stamps: list[float] = field(default_factory=list)
    opened: float = 0.0  # seconds until all of them had been told something
    resident_kib: float = 0.0  # per wait
    meanwhile: Calls = field(default_factory=Calls)


async def waits(
    port: int, messages: list[bytes], ramp: float, ordinary: bytes, resident: Any, settle: float, still: float
) -> Waits:
    """Start the waits evenly over `ramp` seconds; look at memory and ordinary calls once all of them are being told."""
    came, before, began = Waits(len(messages)), resident(), time.perf_counter()
    callers: list[Caller] = []

    async def wait(message: bytes, delay: float) -> None:
        await asyncio.sleep(delay)
        try:
            caller = await connected(port)
            callers.append(caller)
            answer = await caller.ask(message)
        except OSError:
            came.lost += 1
            return
        came.completed += bool(_COMPLETED.search(answer))
        caller.transport.close()

    async def look() -> None:
        await asyncio.sleep(ramp)
        latest = began + 2 * ramp
        while time.perf_counter() < latest and sum(bool(each.stamps) for each in callers) < came.count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        came.opened = time.perf_counter() - began
        await asyncio.sleep(settle)
        came.resident_kib = (resident() - before) / came.count
        for each in callers:
            each.stamps.clear()
        came.meanwhile = await calls(port, ordinary, 1, still, pause=0.05)
        came.stamps = [stamp for each in callers for stamp in each.stamps]

    tasks = (wait(message, ramp * number / came.count) for number, message in enumerate(messages))
    await asyncio.gather(look(), *tasks)
    return came
