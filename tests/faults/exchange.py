"""One request that reached the platform, and full power over the connection it came on."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import anyio

if TYPE_CHECKING:
    from tests.faults.platform import FaultyPlatform

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Seen:
    """A request as it was received; the caller's key is not kept."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=anyio.current_time)


class Hangup(Exception):
    """The script is done with this connection."""


class Exchange:
    """What a script does with one request: answer it in pieces, badly, late, or not at all."""

    def __init__(
        self, seen: Seen, platform: "FaultyPlatform", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.seen = seen
        self.platform = platform
        self.last = False  # whether the next request on this connection is cut off unread, as if it had idled too long
        self._reader = reader
        self._writer = writer

    async def json(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        await self.text(json.dumps(value), JSON, status, headers)

    async def text(self, body: str, kind: str, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        content = body.encode()
        await self.head(status, {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})})
        await self.raw(content)

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} As told", *(f"{name}: {value}" for name, value in headers.items())]
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def open_events(self) -> None:
        await self.head(200, {"Content-Type": EVENTS, "Transfer-Encoding": "chunked"})

    async def event(self, name: str, **data: Any) -> None:
        await self.piece(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())

    async def piece(self, data: bytes) -> None:
        """One chunk of a chunked body."""
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        """The proper end of a chunked body; the connection stays open."""
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def drop(self) -> NoReturn:
        """Cut the connection here and now."""
        self._writer.transport.abort()
        raise Hangup

    async def stall(self) -> None:
        """Say nothing more until the caller hangs up."""
        while await self._reader.read(1024):
            pass
        raise Hangup


async def next_request(reader: asyncio.StreamReader) -> Seen:
    """Read one request. Raises asyncio.IncompleteReadError when the caller has gone."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, path, {**headers, "authorization": "…"}, body)
