"""A stderr that nothing waits for and that never fails.

Whoever starts a server may never read its stderr, may close it, or may put it on a disk that fills up. None of this may
hold the server up or end it. So a thread does the writing, and lines that it cannot get rid of are dropped and counted.

Why a thread: fd 2 is shared with other processes, and making it non-blocking would make it so for them too. Asking
first whether there is room does not help either, because another worker may take that room before we write.
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

ROOM = 256 * 1024  # bytes that may wait: thousands of calls that end at once are a burst, not a stderr that is stuck
LAST_LINES = 1.0  # seconds a stderr that takes its lines may need for the last of them
STUCK = 0.05  # seconds without room, after which the last lines are not waited for


class Stderr(io.TextIOWrapper):
    """Text to stderr, handed over line by line. `loss_in_words` is the line that says how many lines were dropped."""

    loss_in_words: Callable[[int], str]

    def __init__(self, lines: "_Lines", encoding: str) -> None:
        super().__init__(lines, encoding, "backslashreplace", line_buffering=True)
        self.loss_in_words = lambda count: f"cyberun-mcp: {count} lines before this one could not be written to stderr"


class _Lines(io.RawIOBase):
    """Takes bytes at once, and leaves the writing to a thread, which starts with the first line."""

    name = "<stderr>"

    def __init__(self, descriptor: int, loss: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._loss = loss
        self._changed = threading.Condition()  # its lock may be taken again by a warning raised while it is held
        self._waiting: deque[tuple[int, bytes]] = deque()  # how many lines were dropped just before, and a text
        self._size = 0  # bytes that wait or are being written
        self._dropped = 0  # lines, since the last text that was taken
        self._torn = False  # whether the last line that was written is not whole
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
            if (self._size and self._size + len(text) > ROOM) or not self._has_thread():
                self._dropped += text.count(b"\n")
            else:
                self._waiting.append((self._dropped, text))
                self._size += len(text)
                self._dropped = 0
                self._changed.notify()
        return len(text)

    def finish(self) -> None:
        """Let the last lines out, for as long as stderr takes them."""
        end = time.monotonic() + LAST_LINES
        while self._size and time.monotonic() < end and self._has_room():
            with self._changed:
                self._changed.wait_for(lambda: not self._size, STUCK)

    def _has_room(self) -> bool:
        try:
            return bool(select.select([], [self._descriptor], [], STUCK)[1])
        except OSError:  # closed: writing fails at once
            return True

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._write_all, name="stderr", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter is ending
                return False
            self._thread = thread
        return True

    def _write_all(self) -> None:
        lost = 0
        while True:
            dropped, text = self._next()
            lost = self._write_after(lost + dropped, text)
            with self._changed:
                self._size -= len(text)
                self._changed.notify_all()

    def _write_after(self, lost: int, text: bytes) -> int:
        """Say how many lines were lost, and write a text; how many lines are lost now."""
        if lost and self._write(b"\n" * self._torn + self._loss(lost)):
            return lost + text.count(b"\n")
        return self._write(text).count(b"\n")

    def _next(self) -> tuple[int, bytes]:
        """All that waits, up to where lines were dropped: a write each would wait for a busy interpreter each."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            dropped, text = self._waiting.popleft()
            texts = [text]
            while self._waiting and not self._waiting[0][0]:
                texts.append(self._waiting.popleft()[1])
        return dropped, b"".join(texts)

    def _write(self, data: bytes) -> bytes:
        """Write, however long that takes; what could not be written."""
        while data:
            try:
                written = os.write(self._descriptor, data)
                self._torn = not data[:written].endswith(b"\n")
                data = data[written:]
            except BlockingIOError:  # whoever else has it made it non-blocking
                select.select([], [self._descriptor], [])
            except OSError:
                break
        return data


def never_wait_for_stderr() -> None:
    """From now on what this process writes to `sys.stderr` is written by a thread, or dropped. Not on Windows."""
    if sys.platform == "win32" or isinstance(sys.stderr, Stderr):
        return
    _open_what_is_closed()

    def loss(count: int) -> bytes:
        return (stderr.loss_in_words(count) + "\n").encode(errors="backslashreplace")

    lines = _Lines(2, loss)
    sys.stderr = stderr = Stderr(lines, sys.stderr.encoding if sys.stderr else "utf-8")
    atexit.register(finish_stderr)


def finish_stderr() -> None:
    """Let the last lines out, before the process ends."""
    if isinstance(sys.stderr, Stderr) and isinstance(sys.stderr.buffer, _Lines):
        sys.stderr.flush()
        sys.stderr.buffer.finish()


def log_losses(handler: "logging.Handler") -> None:
    """Have lines that were dropped counted in a line like all others of `handler`."""
    import logging

    def in_words(count: int) -> str:
        text = "%d lines before this one could not be written to stderr"
        return handler.format(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None))

    if isinstance(sys.stderr, Stderr):
        sys.stderr.loss_in_words = in_words


def _open_what_is_closed() -> None:
    """Give a standard descriptor that is closed to the null device, before a file or a connection gets its number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
