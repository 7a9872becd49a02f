"""Messages over two pipes that the event loop itself reads and writes.

The SDK's own streams hand every line to a thread and back, which is more than half of a call's time.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp_types import jsonrpc_message_adapter

from cyberun_mcp.pipes.claim import Wire
from cyberun_mcp.sdk_engine import SessionMessage

CHUNK = 256 * 1024  # bytes read at once, and bytes of whole lines that nobody has taken yet before reading pauses
CROWD = 256  # answers that may wait for a client that does not read, before we stop reading too
PARTING = 0.2  # seconds that what is still being written gets after a signal


@contextmanager
def open_pipe(wire: Wire) -> Iterator[tuple["Incoming", "Outgoing"]]:
    """Both directions of `wire`, in the running event loop."""
    outgoing = Outgoing(wire.writing)
    incoming = Incoming(wire.reading, outgoing)
    outgoing.on_broken = incoming.end
    incoming.take(wire.heard)
    loop, blocking = (
        asyncio.get_running_loop(),
        [each for each in (wire.reading, wire.writing) if os.get_blocking(each)],
    )
    try:
        for each in blocking:
            os.set_blocking(each, False)
        incoming.resume()
        yield incoming, outgoing
    finally:
        loop.remove_reader(wire.reading)
        loop.remove_writer(wire.writing)
        for each in blocking:  # whoever started us may share them
            os.set_blocking(each, True)


class Outgoing(ObjectSendStream[SessionMessage]):
    """Messages to the client. Nothing is queued: who wants to send waits until the message before is through."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unsent = memoryview(b"")
        self._free = asyncio.Event()
        self._free.set()
        self._waiting = 0
        self._closing = anyio.CancelScope()
        self._closed = False
        self.on_broken: Callable[[], None] = lambda: None  # called when the client reads no more

    async def send(self, item: SessionMessage) -> None:
        self._waiting += 1
        try:
            while not self._free.is_set():
                await self._free.wait()
        finally:
            self._waiting -= 1
        if self._closed:
            raise anyio.ClosedResourceError
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True) + "\n"
        self._unsent = memoryview(line.encode())
        self._write()
        if self._unsent:
            self._free.clear()
            asyncio.get_running_loop().add_writer(self._descriptor, self._write_on)

    async def ease(self) -> None:
        """Wait while a crowd waits to send."""
        while self._waiting >= CROWD:
            await self._free.wait()

    async def aclose(self) -> None:
        """Wait until the last message is through, the client reads no more, or time is up."""
        with self._closing:
            await self._free.wait()
        self._closed = True

    def hurry(self) -> None:
        """Closing takes no longer than `PARTING` from now on."""
        self._closing.deadline = anyio.current_time() + PARTING

    def _write_on(self) -> None:
        self._write()
        if not self._unsent:
            asyncio.get_running_loop().remove_writer(self._descriptor)
            self._free.set()

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._descriptor, self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = memoryview(b"")
            self._closed = True
            self.on_broken()


class Incoming(ObjectReceiveStream[SessionMessage | Exception]):
    """Messages from the client, until it ends or `end` is called, after which a signal looks like the end of input."""

    def __init__(self, descriptor: int, outgoing: Outgoing) -> None:
        self._descriptor = descriptor
        self._outgoing = outgoing
        self._lines: deque[bytes] = deque()
        self._size = 0  # of these lines
        self._unfinished = bytearray()  # the line that is still coming in
        self._news = asyncio.Event()
        self._reading = False
        self._over = False
        self._ended = False
        self.heard_at = asyncio.get_running_loop().time()  # when the last byte came

    def end(self) -> None:
        """Deliver nothing more, not even what has been read already, and do not wait long for the client to read."""
        self._ended = True
        self._news.set()
        self._outgoing.hurry()

    async def receive(self) -> SessionMessage | Exception:
        if self._lines:  # let what came before begin, or a thousand requests would start before one is answered
            await asyncio.sleep(0)
        await self._outgoing.ease()
        while not (self._lines or self._over or self._ended):
            self._news.clear()
            await self._news.wait()
        if self._ended or not self._lines:
            raise anyio.EndOfStream
        line = self._lines.popleft()
        self._size -= len(line)
        self.resume()
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line.decode(errors="replace"), by_name=False))
        except ValueError as error:
            return error

    async def aclose(self) -> None:
        self._ended = True

    def resume(self) -> None:
        """Read, unless there is plenty already."""
        wanted = self._size <= CHUNK and not self._over
        if wanted and not self._reading:
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        elif self._reading and not wanted:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._reading = wanted

    def take(self, data: bytes) -> None:
        """Have `data` follow what was read so far."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._unfinished += line
            self._lines.append(bytes(self._unfinished))
            self._size += len(self._unfinished)
            self._unfinished.clear()
        self._unfinished += rest

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # a socket whose other end is gone
            data = b""
        if data:
            self.heard_at = asyncio.get_running_loop().time()
            self.take(data)
        else:
            self._over = True
            self.take(b"\n" if self._unfinished else b"")
        self.resume()
        self._news.set()
