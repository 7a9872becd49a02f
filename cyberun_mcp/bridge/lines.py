"""What the client writes, line by line: from a pipe or socket through the event loop, else through a thread.

Past its limit a reader stops reading, so a client that writes faster than it can be served is held back by the pipe
instead of filling the memory.
"""

import asyncio
import os
import stat
import sys
import threading
from collections.abc import Iterable
from typing import SupportsIndex, cast

from cyberun_mcp.bridge.errors import InvalidMessage
from cyberun_mcp.bridge.jsonrpc import INVALID_REQUEST

LONGEST_LINE = 16 * 1024 * 1024  # bytes; a run with a small picture inline is far below
_PIECE = 64 * 1024


class Lines:
    """The lines of one stream; `ended` is set once the client has closed it, even while lines wait to be read."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.stream = _Stream(self.ended)

    @property
    def heard_at(self) -> float:
        """When the last byte came, by the event loop's clock."""
        return self.stream.heard_at

    async def read(self) -> bytes:
        """The next line without its end; b"" when there is no more. Raises InvalidMessage for one that is too long."""
        while True:
            try:
                line = (await self.stream.readuntil(b"\n")).strip()
            except asyncio.IncompleteReadError as end:
                return end.partial.strip()
            except asyncio.LimitOverrunError as error:
                await self._skip_line(error.consumed)
                raise InvalidMessage(INVALID_REQUEST, f"Invalid request: longer than {LONGEST_LINE:,} bytes") from None
            if line:
                return line

    async def _skip_line(self, seen: int) -> None:
        while True:
            await self.stream.readexactly(seen)
            try:
                await self.stream.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                seen = error.consumed
            except asyncio.IncompleteReadError:
                return
            else:
                return


async def open_lines(descriptor: int = 0) -> Lines:
    """The lines of `descriptor`, stdin unless a test says otherwise."""
    lines = Lines()
    loop = asyncio.get_running_loop()
    if works_in_the_loop(descriptor):
        pipe = os.fdopen(descriptor, "rb", buffering=0, closefd=False)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines.stream), pipe)
    else:
        pump = _Pump(descriptor, lines.stream, loop)
        lines.stream.set_transport(cast("asyncio.Transport", pump))
        threading.Thread(target=pump.run, name="stdin", daemon=True).start()
    return lines


def works_in_the_loop(descriptor: int) -> bool:
    """Whether the event loop itself can wait for a descriptor.

    Not on Windows, whose loop takes no anonymous pipes; not for files and terminals; and not for one socket that is
    stdin and stdout at once, where asyncio would take every incoming byte for the end of the outgoing side.
    """
    if sys.platform == "win32":
        return False
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        return not os.path.samestat(os.fstat(0), os.fstat(1))
    return stat.S_ISFIFO(mode)


class _Stream(asyncio.StreamReader):
    def __init__(self, ended: asyncio.Event) -> None:
        super().__init__(limit=LONGEST_LINE)
        self._ended = ended
        self.heard_at = asyncio.get_running_loop().time()

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        super().feed_data(data)

    def feed_eof(self) -> None:
        super().feed_eof()
        self._ended.set()


class _Pump:
    """Carries bytes from a blocking descriptor to a stream; the stream's transport, as far as it needs one."""

    def __init__(self, descriptor: int, stream: _Stream, loop: asyncio.AbstractEventLoop) -> None:
        self._descriptor = descriptor
        self._stream = stream
        self._loop = loop
        self._may_read = threading.Event()
        self._may_read.set()

    def pause_reading(self) -> None:
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    def run(self) -> None:
        while piece := self._next():
            self._loop.call_soon_threadsafe(self._stream.feed_data, piece)
        self._loop.call_soon_threadsafe(self._stream.feed_eof)

    def _next(self) -> bytes:
        self._may_read.wait()
        try:
            return os.read(self._descriptor, _PIECE)
        except OSError:  # closed under us: as much an end as the other
            return b""
