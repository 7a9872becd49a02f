"""The bytes the remote sends on one connection, in order.

Besides reading them, this knows two things a plain stream reader does not say: whether there is anything that nobody
has read, and for how long a reader has been waiting for the next byte.
"""

import asyncio
from collections.abc import Callable

BUFFER = 256 * 1024  # bytes; up to twice as many are held before the remote is made to wait


class Lost(Exception):
    """The connection ended before the answer did."""


class NotHttp(Exception):
    """What came is no HTTP answer, or none of a kind we asked for."""


class Incoming(asyncio.StreamReader):
    """The receiving side of a connection."""

    def __init__(self) -> None:
        super().__init__(limit=BUFFER)
        self._clock = asyncio.get_running_loop().time
        self._when_unsolicited: Callable[[], None] | None = None
        self._unread = 0
        self._begun = False  # whether anything of the current answer has come
        self._ended = False
        self._why = ""
        self._waiting_since: float | None = None

    @property
    def untouched(self) -> bool:
        """Whether the connection is open and everything that came on it has been read."""
        return not self._ended and not self._unread

    @property
    def silent_for(self) -> float:
        """Seconds for which a reader has waited without a byte; 0 while nobody waits for one."""
        return 0.0 if self._waiting_since is None else self._clock() - self._waiting_since

    def rest(self, when_unsolicited: Callable[[], None]) -> None:
        """Nothing is expected until the next `expect`. Whatever arrives, the end included, calls the function."""
        self._when_unsolicited = when_unsolicited
        if not self.untouched:
            when_unsolicited()

    def expect(self) -> None:
        """A request is being sent, so the next byte begins its answer."""
        self._when_unsolicited = None
        self._begun = False

    def end(self, why: str) -> None:
        """Take no more; who waits for it gets Lost with this reason."""
        if not self._ended:
            self._why = why
            self.feed_eof()

    async def some(self, most: int) -> bytes:
        """At least one byte and at most `most`; none if the remote has ended in good order. Raises Lost."""
        self._waiting_since = self._clock()
        try:
            piece = await self.read(most)
        finally:
            self._waiting_since = None
        if not piece and self._why:
            raise self.lost()
        self._take(piece)
        return piece

    async def line(self) -> bytes:
        """The next line, without its CRLF. Raises Lost, or NotHttp where a line is endless or ends in another way."""
        self._waiting_since = self._clock()
        try:
            line = await self.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            self._take(error.partial)
            raise self.lost() from error
        except asyncio.LimitOverrunError as error:
            raise NotHttp("it has a line without end") from error
        finally:
            self._waiting_since = None
        self._take(line)
        if line[-2:] != b"\r\n":
            raise NotHttp("it has a line that does not end in CRLF")
        return line[:-2]

    def lost(self) -> Lost:
        """Why there is no more to read."""
        return Lost(self._why or f"connection closed{' in the middle of an answer' if self._begun else ''}")

    # What asyncio calls.

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # typeshed allows more than ever comes
        if self._ended:  # by ourselves: the system may still have something
            return
        super().feed_data(data)
        self._unread += len(data)
        if self._waiting_since is not None:
            self._waiting_since = self._clock()
        self._report_unsolicited()

    def feed_eof(self) -> None:
        self._ended = True
        super().feed_eof()
        self._report_unsolicited()

    def set_exception(self, exc: Exception) -> None:
        """End, but keep what came before: the remote may have answered in full, and then refused to read the rest."""
        self.end(getattr(exc, "strerror", None) or str(exc) or type(exc).__name__)

    def _take(self, piece: bytes) -> None:
        self._unread -= len(piece)
        self._begun = self._begun or bool(piece)

    def _report_unsolicited(self) -> None:
        if self._when_unsolicited is not None:
            self._when_unsolicited()
