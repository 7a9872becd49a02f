"""A stderr that never blocks and never fails.

The program that starts a server may never read its stderr, may close it, or may redirect it to a disk that fills up.
None of this may block or end the server. So a thread writes the lines; lines that it cannot write are dropped and
counted.

Why a thread: fd 2 is shared with other processes, and O_NONBLOCK would apply to them too. Checking for room before each
write does not help either, because another worker may use that room before the write.
"""

import atexit
import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

BUFFER_SIZE = 256 * 1024  # bytes; enough for the burst of lines when thousands of calls end at once
EXIT_TIMEOUT = 1.0  # seconds the last lines may take at exit, as long as stderr accepts some of them
STUCK_TIMEOUT = 0.05  # seconds; if stderr accepts nothing for so long at exit, the last lines are dropped


class Stderr(io.TextIOWrapper):
    """Text to stderr, passed on line by line. `loss_message` formats the line that reports dropped lines."""

    loss_message: Callable[[int], str]

    def __init__(self, writer: "_BackgroundWriter", encoding: str) -> None:
        super().__init__(writer, encoding, "backslashreplace", line_buffering=True)
        self.loss_message = lambda count: f"cyberun-mcp: {count} lines before this one could not be written to stderr"


class _BackgroundWriter(io.RawIOBase):
    """Accepts bytes without blocking; a thread, started with the first line, writes them to `descriptor`."""

    name = "<stderr>"

    def __init__(self, descriptor: int, loss_message: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._loss_message = loss_message
        self._changed = threading.Condition()  # reentrant: a warning raised while it is held writes here too
        self._queue: deque[tuple[int, bytes]] = deque()  # (number of lines dropped just before, text)
        self._size = 0  # bytes that are queued or being written
        self._dropped = 0  # lines, since the last text that was queued
        self._partial_line = False  # whether the last write ended in the middle of a line
        self._thread: threading.Thread | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: "memoryview | bytes") -> int:  # type: ignore[override]
        text = bytes(data)
        with self._changed:
            if (self._size and self._size + len(text) > BUFFER_SIZE) or not self._ensure_thread():
                self._dropped += text.count(b"\n")
            else:
                self._queue.append((self._dropped, text))
                self._size += len(text)
                self._dropped = 0
                self._changed.notify()
        return len(text)

    def finish(self) -> None:
        """Wait until the last lines are written, as long as stderr accepts them."""
        deadline = time.monotonic() + EXIT_TIMEOUT
        while self._size and time.monotonic() < deadline and self._has_room():
            with self._changed:
                self._changed.wait_for(lambda: not self._size, STUCK_TIMEOUT)

    def _has_room(self) -> bool:
        try:
            return bool(select.select([], [self._descriptor], [], STUCK_TIMEOUT)[1])
        except OSError:  # closed: writing fails at once
            return True

    def _ensure_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._write_all, name="stderr", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter is exiting
                return False
            self._thread = thread
        return True

    def _write_all(self) -> None:
        lost = 0
        while True:
            dropped, text = self._next()
            lost = self._write_with_loss(lost + dropped, text)
            with self._changed:
                self._size -= len(text)
                self._changed.notify_all()

    def _write_with_loss(self, lost: int, text: bytes) -> int:
        """Report `lost` lines, then write the text. Returns how many lines are lost and not yet reported."""
        if lost and self._write(b"\n" * self._partial_line + self._loss_message(lost)):
            return lost + text.count(b"\n")
        return self._write(text).count(b"\n")

    def _next(self) -> tuple[int, bytes]:
        """All queued texts up to the next gap, joined: each write waits for the interpreter's lock on a busy server."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue)
            dropped, text = self._queue.popleft()
            texts = [text]
            while self._queue and not self._queue[0][0]:
                texts.append(self._queue.popleft()[1])
        return dropped, b"".join(texts)

    def _write(self, data: bytes) -> bytes:
        """Write, however long that takes. Returns the part that could not be written."""
        while data:
            try:
                written = os.write(self._descriptor, data)
                self._partial_line = not data[:written].endswith(b"\n")
                data = data[written:]
            except BlockingIOError:  # another process set O_NONBLOCK
                select.select([], [self._descriptor], [])
            except OSError:
                break
        return data


def never_wait_for_stderr() -> None:
    """Replace `sys.stderr` by one whose lines a thread writes or drops. Does nothing on Windows."""
    if sys.platform == "win32" or isinstance(sys.stderr, Stderr):
        return
    _open_closed_descriptors()

    def loss_message(count: int) -> bytes:
        return (stderr.loss_message(count) + "\n").encode(errors="backslashreplace")

    writer = _BackgroundWriter(2, loss_message)
    sys.stderr = stderr = Stderr(writer, sys.stderr.encoding if sys.stderr else "utf-8")
    atexit.register(finish_stderr)


def finish_stderr() -> None:
    """Write the last lines before the process exits."""
    if isinstance(sys.stderr, Stderr) and isinstance(sys.stderr.buffer, _BackgroundWriter):
        sys.stderr.flush()
        sys.stderr.buffer.finish()


def log_losses(handler: "logging.Handler") -> None:
    """Report dropped lines as a log record formatted by `handler`."""
    import logging

    def loss_message(count: int) -> str:
        text = "%d lines before this one could not be written to stderr"
        return handler.format(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None))

    if isinstance(sys.stderr, Stderr):
        sys.stderr.loss_message = loss_message


def _open_closed_descriptors() -> None:
    """Open closed standard descriptors on the null device, so that no later file or connection gets their numbers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
