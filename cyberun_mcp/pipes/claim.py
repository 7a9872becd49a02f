"""Claims stdin and stdout, so that nothing else in this process can read from or write to the client.

The fast start imports this module before anything else, so it imports neither asyncio nor the SDK.
"""

import os
import select
import stat
import sys
from typing import Any


class InitializeState:
    """An `initialize` request that has been answered: its parameters, and how far the client has come since."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.version: str = params["protocolVersion"]
        self.confirmed = False  # whether `notifications/initialized` has arrived


class StdioPipes:
    """The two descriptors of the client, what the fast start has done with them, and how to serve them.

    `in_threads` is whether a thread has to read and write them because no event loop can wait for them.
    """

    def __init__(self, reading: int, writing: int, *, in_threads: bool = False) -> None:
        self.reading = reading
        self.writing = writing
        self.in_threads = in_threads
        self.buffered = b""  # read from the client, but not answered yet
        self.initialize: InitializeState | None = None


def claim_stdio() -> StdioPipes | None:
    """Claim two pipes for an event loop; from now on fd 0 reads as empty, and fd 1 leads to stderr.

    Returns None, and claims nothing, where an event loop cannot serve them: on Windows, whose loop takes no anonymous
    pipes, and unless stdin and stdout are two pipes or sockets, neither of them stderr. A terminal, or a pipe that is
    stderr too, would become non-blocking for other processes. Of a regular file no event loop can tell when there is
    more to read.
    """
    if sys.platform == "win32":
        return None
    try:
        stdin, stdout, stderr = (os.fstat(descriptor) for descriptor in range(3))
    except OSError:  # one of them is closed
        return None
    if not (_is_pipe(stdin) and _is_pipe(stdout)):
        return None
    if os.path.samestat(stdin, stdout) or os.path.samestat(stdout, stderr) or os.path.samestat(stdin, stderr):
        return None
    return StdioPipes(_divert(0, os.open(os.devnull, os.O_RDONLY)), divert_stdout())


def claim_stdio_for_threads() -> StdioPipes:
    """Claim a stdin and stdout of any kind, on any system. fd 1 leads to stderr from now on."""
    return StdioPipes(0, divert_stdout(), in_threads=True)


def divert_stdout() -> int:
    """Return a private descriptor for stdout. Anything else written to stdout goes to stderr from now on.

    Child processes are covered on Windows too: `dup2` moves the standard handle of a console program along.
    """
    sys.stdout = sys.stderr  # never blocks, unlike the descriptor
    try:
        elsewhere = os.dup(2)
    except OSError:  # stderr is closed
        elsewhere = os.open(os.devnull, os.O_WRONLY)
    return _divert(1, elsewhere)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however long that takes. Raises OSError when the client reads no more."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # the process that made the pipe may have made it non-blocking
            select.select([], [descriptor], [])


def _is_pipe(status: os.stat_result) -> bool:
    return stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)


def _divert(descriptor: int, elsewhere: int) -> int:
    """Return a private duplicate of `descriptor`, which leads to `elsewhere` from now on."""
    private = os.dup(descriptor)
    os.dup2(elsewhere, descriptor)
    os.close(elsewhere)
    return private
