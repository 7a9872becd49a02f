"""How fast a shim is, and how large: the same calls through each of them, and without any."""

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.bridge.client import INITIALIZE, Client, Message, Remote, call, client
from benchmarks.bridge.remote import KEY

SERIAL = 200  # calls, one after the other
CROWD = 32  # calls in flight
CROWDED = 960  # calls, CROWD of them at a time
EVENTS = 3000  # progress notifications in one call
BIG = 2_000_000  # characters of the big result


class Speed(NamedTuple):
    """One round of one shim: seconds, or what the name says."""

    start: float
    call: float
    crowded_call: float
    big: float
    events_per_second: float
    mib: float
    mib_after: float


def measure(command: Sequence[str]) -> Speed:
    """One round: a fresh process, and every measure once."""
    with client(command) as shim:
        shim.initialize()
        start = time.perf_counter() - shim.began
        shim.send(call(1, {}))
        shim.answer_to(1)
        mib = shim.resident_mib()
        one = _serial(shim)
        crowded = _crowded(shim)
        big = _big(shim)
        events = _events(shim)
        return Speed(start, one, crowded, big, events, mib, shim.resident_mib())


def _serial(shim: Client) -> float:
    times = []
    for number in range(100, 100 + SERIAL):
        began = time.perf_counter()
        shim.send(call(number, {}))
        shim.answer_to(number)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _crowded(shim: Client) -> float:
    began, sent = time.perf_counter(), CROWD
    shim.send(*(call(1000 + number, {}) for number in range(CROWD)))
    for _ in range(CROWDED):
        shim.receive()
        if sent < CROWDED:
            shim.send(call(1000 + sent, {}))
            sent += 1
    return (time.perf_counter() - began) / CROWDED


def _big(shim: Client) -> float:
    began = time.perf_counter()
    shim.send(call(10_000, {"size": BIG}))
    answer = shim.answer_to(10_000)
    took = time.perf_counter() - began
    if len(answer["result"]["content"][0]["text"]) != BIG:
        raise SystemExit("the big result came damaged")
    return took


def _events(shim: Client) -> float:
    """Progress notifications a second; 0 if they do not arrive."""
    began, heard = time.perf_counter(), 0
    shim.send(call(10_001, {"progress": EVENTS}, mark="burst"))
    while shim.receive().get("id") != 10_001:
        heard += 1
    return heard / (time.perf_counter() - began)


def measure_directly(remote: Remote) -> tuple[float, float]:
    """The same calls without a shim, one at a time and CROWD at a time, over plain sockets."""
    return asyncio.run(_direct(remote.port))


async def _direct(port: int) -> tuple[float, float]:
    opening = await _Raw.connect(port)
    await opening.post({"id": 0, "method": "initialize", "params": INITIALIZE})
    await opening.post({"method": "notifications/initialized"})
    times = []
    for number in range(SERIAL):
        began = time.perf_counter()
        await opening.post(call(number + 1, {}))
        times.append(time.perf_counter() - began)
    crowd = [await _Raw.connect(port, opening.session) for _ in range(CROWD)]
    await asyncio.gather(*(each.repeat(1, 100_000 + place) for place, each in enumerate(crowd)))
    began = time.perf_counter()
    await asyncio.gather(*(each.repeat(CROWDED // CROWD, 1000 * place) for place, each in enumerate(crowd, 1)))
    return statistics.median(times), (time.perf_counter() - began) / CROWDED


class _Raw:
    """A keep-alive connection that knows nothing but this remote."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, session: str) -> None:
        self._reader, self._writer, self._port, self.session = reader, writer, port, session

    @classmethod
    async def connect(cls, port: int, session: str = "") -> "_Raw":
        return cls(*await asyncio.open_connection("127.0.0.1", port), port, session)

    async def repeat(self, times: int, first: int) -> None:
        for number in range(first, first + times):
            await self.post(call(number, {}))

    async def post(self, message: Message) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        fields = {
            "Host": f"127.0.0.1:{self._port}",
            "Authorization": f"Bearer {KEY}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        if self.session:
            fields |= {"Mcp-Session-Id": self.session, "MCP-Protocol-Version": "2025-11-25"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._writer.write(f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        if not head.startswith("http/1.1 20"):
            raise SystemExit(f"the remote answered {head.splitlines()[0]}")
        if "mcp-session-id: " in head and not self.session:
            self.session = head.partition("mcp-session-id: ")[2].partition("\r\n")[0]
        if "transfer-encoding: chunked" in head:
            await self._reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            await self._reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
