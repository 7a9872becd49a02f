"""Reads lines from the client: through the event loop where that is possible, else through a thread.

A reader whose lines are not taken stops reading. So a client that writes faster than it can be served is held back by
its pipe, and does not fill our memory.
"""

import asyncio
import os
import select
import sys
import threading
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

from cyberun_mcp.pipes.claim import StdioPipes

CHUNK = 256 * 1024  # bytes read at once


def open_reader(pipes: StdioPipes, *, buffer: int = CHUNK, longest: int = sys.maxsize - 1) -> "LineReader":
    """A reader of `pipes`, which begins with the bytes that the fast start has left in `pipes.buffered`.

    It stops reading while it holds more than `buffer` bytes of whole lines. A line of more than `longest` bytes is cut
    to `longest + 1`, so that its reader can tell. Use it as a context manager: leaving restores the blocking state of
    the descriptor, which other processes may share.
    """
    kind = ThreadLineReader if pipes.in_threads else LineReader
    reader = kind(pipes.reading, buffer, longest)
    reader.feed(pipes.buffered)
    return reader


class LineReader:
    """Lines of a pipe or a socket, read by the running event loop without a thread.

    A thread for each line would take more than half of a call's time, as it does in the SDK's own streams.
    """

    def __init__(self, descriptor: int, buffer: int, longest: int) -> None:
        self.ended = asyncio.Event()  # the client has closed its end; there may still be lines to read
        self.last_byte_at = asyncio.get_running_loop().time()
        self._descriptor = descriptor
        self._buffer = buffer
        self._longest = longest
        self._lines: deque[bytes] = deque()
        self._size = 0  # bytes of these lines
        self._unfinished = bytearray()  # the line that is still arriving
        self._changed = asyncio.Event()
        self._reading = False
        self._stopped = False
        self._restore_blocking = False

    def __enter__(self) -> Self:
        self._restore_blocking = self._make_non_blocking()
        self._read_or_pause()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pause()
        self._reading = False
        if self._restore_blocking:
            os.set_blocking(self._descriptor, True)

    @property
    def has_lines(self) -> bool:
        """Whether `read` would return a line at once."""
        return bool(self._lines)

    async def read(self) -> bytes | None:
        """Return the next line without its newline; None at the end of input, and after `stop`."""
        while not (self._lines or self._stopped or self.ended.is_set()):
            self._changed.clear()
            await self._changed.wait()
        if self._stopped or not self._lines:
            return None
        line = self._lines.popleft()
        self._size -= len(line)
        self._read_or_pause()
        return line

    def stop(self) -> None:
        """Deliver nothing more, not even lines that have been read already."""
        self._stopped = True
        self._changed.set()

    def feed(self, data: bytes) -> None:
        """Append `data` to what has been read so far."""
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._extend_line(part)
            self._lines.append(bytes(self._unfinished))
            self._size += len(self._unfinished)
            self._unfinished.clear()
        self._extend_line(rest)

    def _extend_line(self, part: bytes) -> None:
        self._unfinished += part[: self._longest + 1 - len(self._unfinished)]

    def _take(self, data: bytes) -> None:
        """Accept what has just been read; no bytes are the end of input."""
        if data:
            self.last_byte_at = asyncio.get_running_loop().time()
            self.feed(data)
        else:
            self.ended.set()
            self.feed(b"\n" if self._unfinished else b"")
        self._read_or_pause()
        self._changed.set()

    def _read_or_pause(self) -> None:
        wanted = self._size <= self._buffer and not self.ended.is_set()
        if wanted and not self._reading:
            self._resume()
        elif self._reading and not wanted:
            self._pause()
        self._reading = wanted

    def _make_non_blocking(self) -> bool:
        """Whether the descriptor was a blocking one."""
        blocking = os.get_blocking(self._descriptor)
        os.set_blocking(self._descriptor, False)
        return blocking

    def _resume(self) -> None:
        asyncio.get_running_loop().add_reader(self._descriptor, self._on_readable)

    def _pause(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # a socket whose other end is gone
            data = b""
        self._take(data)


class ThreadLineReader(LineReader):
    """The same for any other descriptor, and for every one on Windows. The thread reads one chunk at a time.

    Nothing can wake a thread that waits for stdin (python-sdk issue 3551), so it is a daemon thread, and the process
    has to end without joining it.
    """

    def __init__(self, descriptor: int, buffer: int, longest: int) -> None:
        super().__init__(descriptor, buffer, longest)
        self._loop = asyncio.get_running_loop()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def _make_non_blocking(self) -> bool:
        return False

    def _resume(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="stdin", daemon=True)
            self._thread.start()
        self._wanted.set()

    def _pause(self) -> None:
        self._wanted.clear()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            data = self._read_chunk()
            self._wanted.clear()  # until the event loop has taken this
            with suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._take_chunk, data)
            if not data:
                return

    def _read_chunk(self) -> bytes:
        while True:
            try:
                return os.read(self._descriptor, CHUNK)
            except BlockingIOError:  # another process has made it non-blocking
                select.select([self._descriptor], [], [])
            except OSError:  # closed in the meantime
                return b""

    def _take_chunk(self, data: bytes) -> None:
        self._reading = False
        self._take(data)
