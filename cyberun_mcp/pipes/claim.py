"""The wire to the client: stdin and stdout of this process, taken so that nothing else in it can read or write them."""

import os
import stat
import sys
from typing import Any


class Greeting:
    """An `initialize` that has been answered."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.version: str = params["protocolVersion"]
        self.confirmed = False  # whether `notifications/initialized` came


class Wire:
    """Two descriptors of the client's, what was read from them but not answered yet, and the answered `initialize`."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading = reading
        self.writing = writing
        self.heard = b""
        self.greeting: Greeting | None = None


def take_wire() -> Wire | None:
    """The wire; from now on fd 0 reads as empty, and fd 1 leads to stderr.

    None, with nothing taken, where an event loop cannot serve it: on Windows, and unless stdin and stdout are two pipes
    or sockets, neither of them stderr. A terminal, or what stderr writes to as well, would become non-blocking for
    others too; of a regular file no loop can tell when there is more.
    """
    if sys.platform == "win32":
        return None
    try:
        stdin, stdout, stderr = (os.fstat(each) for each in range(3))
    except OSError:  # one of them is closed
        return None
    if not (_is_pipe(stdin) and _is_pipe(stdout)):
        return None
    if os.path.samestat(stdin, stdout) or os.path.samestat(stdout, stderr) or os.path.samestat(stdin, stderr):
        return None
    return Wire(_divert(0, os.open(os.devnull, os.O_RDONLY)), divert_stdout())


def divert_stdout() -> int:
    """A private descriptor for stdout. Whatever else is written there goes to stderr from now on."""
    sys.stdout = sys.stderr  # which nothing waits for, unlike a descriptor
    return _divert(1, os.dup(2))


def _is_pipe(status: os.stat_result) -> bool:
    return stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)


def _divert(descriptor: int, elsewhere: int) -> int:
    """A private duplicate of `descriptor`, which leads `elsewhere` from now on."""
    private = os.dup(descriptor)
    os.dup2(elsewhere, descriptor)
    os.close(elsewhere)
    return private
