"""Writes lines to the client, in order, with no more in memory than the one line that is being written.

Callers wait while the client does not read. So a client that stops reading holds back whatever produces its messages.
"""

import asyncio
import os
import queue
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from cyberun_mcp.pipes.claim import StdioPipes, write_all

CROWD = 256  # callers that may wait to write before no more input should be read


def open_writer(pipes: StdioPipes, *, notice_closing: bool = False) -> "LineWriter":
    """A writer to `pipes`, as a context manager: leaving restores the blocking state of the descriptor.

    With `notice_closing`, a client that closes its end of stdout is noticed at once, and not just by the next write.
    No thread can notice that.
    """
    if pipes.in_threads:
        return ThreadLineWriter(pipes.writing)
    return LineWriter(pipes.writing, notice_closing)


class LineWriter:
    """Lines to a pipe or a socket, written by the running event loop without a thread."""

    def __init__(self, descriptor: int, notice_closing: bool = False) -> None:
        self.broken = False  # the client does not read any more; what is written is dropped
        self.on_broken: Callable[[], None] = lambda: None
        self._descriptor = descriptor
        self._notice_closing = notice_closing
        self._unsent = memoryview(b"")
        self._idle = asyncio.Event()  # there is nothing unsent
        self._idle.set()
        self._waiting = 0  # callers in `wait_until_ready`
        self._restore_blocking = False

    def __enter__(self) -> Self:
        self._restore_blocking = os.get_blocking(self._descriptor)
        os.set_blocking(self._descriptor, False)
        if self._notice_closing:
            asyncio.get_running_loop().add_reader(self._descriptor, self._check_closed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.remove_writer(self._descriptor)
        if self._restore_blocking:
            os.set_blocking(self._descriptor, True)

    @property
    def blocked(self) -> bool:
        """Whether a line is waiting for the client to read."""
        return not self._idle.is_set()

    async def write(self, data: bytes) -> None:
        """Write whole lines, and wait until the client, or the pipe to it, has taken them."""
        await self.wait_until_ready()
        self.write_now(data)
        await self.wait_until_sent()

    async def wait_until_ready(self) -> None:
        """Wait until `write_now` may be called."""
        self._waiting += 1
        try:
            while not self._idle.is_set():
                await self._idle.wait()
        finally:
            self._waiting -= 1

    def write_now(self, data: bytes) -> None:
        """Begin to write whole lines; nothing may be waiting to be sent."""
        if self.broken:
            return
        self._unsent = memoryview(data)
        self._begin()

    async def wait_until_sent(self) -> None:
        """Wait until nothing is unsent, or the client does not read any more."""
        await self._idle.wait()

    async def wait_for_space(self) -> None:
        """Wait while `CROWD` callers, or more, are waiting to write."""
        while self._waiting >= CROWD:
            await self._idle.wait()
            # The callers have not run yet. `wait` does not give way to them once the event is set, so this loop would
            # never end.
            await asyncio.sleep(0)

    def _begin(self) -> None:
        self._write()
        if self._unsent:
            self._idle.clear()
            asyncio.get_running_loop().add_writer(self._descriptor, self._on_writable)

    def _on_writable(self) -> None:
        self._write()
        if not self._unsent:
            asyncio.get_running_loop().remove_writer(self._descriptor)
            self._idle.set()

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._descriptor, self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = memoryview(b"")
            self._break()

    def _check_closed(self) -> None:
        """Tell a client that is gone from one that only shuts down its half of a socket, as Bun does."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        poll = select.poll()
        poll.register(self._descriptor, 0)  # reports POLLERR and POLLHUP, which cannot be turned off
        if poll.poll(0):
            self._break()

    def _break(self) -> None:
        if not self.broken:
            self.broken = True
            self.on_broken()


class ThreadLineWriter(LineWriter):
    """The same for any other descriptor, and for every one on Windows: blocking writes in a thread.

    The thread is a daemon, so that a client that does not read cannot keep the process from ending.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._loop = asyncio.get_running_loop()
        self._thread: threading.Thread | None = None
        self._jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _begin(self) -> None:
        self._idle.clear()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="stdout", daemon=True)
            self._thread.start()
        self._jobs.put(bytes(self._unsent))

    def _run(self) -> None:
        while not self.broken:
            data, broken = self._jobs.get(), False
            try:
                write_all(self._descriptor, data)
            except OSError:
                broken = True
            with suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._finish, broken)

    def _finish(self, broken: bool) -> None:
        self._unsent = memoryview(b"")
        if broken:
            self._break()
        self._idle.set()
