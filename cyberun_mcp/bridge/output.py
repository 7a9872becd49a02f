"""What the client reads: whole lines, in the order they were written, never more in memory than the pipe's own buffer.

Whoever writes waits while the client does not read; the waiting goes on through the HTTP stream the line came from, up
to the remote.
"""

import asyncio
import os
from typing import cast

from cyberun_mcp.bridge.lines import works_in_the_loop


class Output:
    """The client's side of stdout; `lost` is set when nobody reads it any more."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    @property
    def blocked(self) -> bool:
        """Whether the client has stopped reading, for the moment."""
        raise NotImplementedError

    async def write(self, line: bytes) -> None:
        """Write one message and wait until the client has room for another."""
        raise NotImplementedError

    async def room(self) -> None:
        """Wait until the client reads."""
        raise NotImplementedError


async def open_output(descriptor: int = 1) -> Output:
    """The lines to `descriptor`, stdout unless a test says otherwise."""
    if not works_in_the_loop(descriptor):
        return _ThroughThread(descriptor)
    pipe = os.fdopen(descriptor, "wb", buffering=0, closefd=False)
    _, output = await asyncio.get_running_loop().connect_write_pipe(_ThroughLoop, pipe)
    return output


class _ThroughLoop(Output, asyncio.BaseProtocol):
    """A pipe or socket: a write is one system call, and none waits for a thread."""

    def __init__(self) -> None:
        super().__init__()
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._room.set()

    @property
    def blocked(self) -> bool:
        return not self._room.is_set()

    async def write(self, line: bytes) -> None:
        await self._room.wait()
        self._transport.write(line + b"\n")
        await self._room.wait()

    async def room(self) -> None:
        await self._room.wait()


class _ThroughThread(Output):
    """Anything else, and everything on Windows: one thread, one blocking write after the other."""

    def __init__(self, descriptor: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        super().__init__()
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "stdout")
        self._last: asyncio.Future[None] | None = None

    @property
    def blocked(self) -> bool:
        return self._last is not None and not self._last.done()

    async def write(self, line: bytes) -> None:
        self._last = self._loop.run_in_executor(self._thread, self._write_all, line + b"\n")
        await asyncio.shield(self._last)  # a cancelled call must not leave half a line behind

    async def room(self) -> None:
        if self._last is not None:
            await asyncio.shield(self._last)

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self._loop.call_soon_threadsafe(self.lost.set)
