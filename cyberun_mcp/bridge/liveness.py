"""Whether a request that gets no answer is still being worked on, or its connection dead without anybody saying so.

A middlebox that forgets a connection tells neither end. TCP's keepalive notices a path that swallows everything, but
not a proxy that answers it by itself. So when a remote has been silent for long, it is asked whether it is there: by a
ping on a connection of its own, never by the request again. A remote that works in silence, as many do, looks the same
as a dead connection; what is made of the answer is therefore:

    the remote cannot be connected to, twice in a row      the request is lost
    it answers, and it used to break such silences         the request is lost
    anything else                                          wait on, up to SILENCE_LIMIT

The remote is known to break silences if it has sent comments on the stream of a waiting request, as `cyberun-mcp http`
and every server of the Python SDK do each 15 seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Protocol

QUIET = 60.0  # seconds of silence after which the remote is asked; four comments of a remote that sends them
ASK_AGAIN = 30.0  # seconds between two questions
SILENCE_LIMIT = 300.0  # seconds; the clients of the official SDKs wait as long for the next byte, so remotes keep to it

_OPEN_ENDED = "subscriptions/listen"  # may be silent for hours, unless the remote is known to break silences


class Sign(Enum):
    """What became of a ping."""

    ANSWERED = auto()
    SILENT = auto()  # connected, but no answer in time, or none of the remote's own
    UNREACHABLE = auto()  # no connection


_SAID = {
    Sign.ANSWERED: "answers a ping on another connection",
    Sign.SILENT: "does not answer a ping either",
    Sign.UNREACHABLE: "cannot be reached any more",
}


class Waiting(Protocol):
    """A connection on which an answer is waited for."""

    @property
    def silent_for(self) -> float:
        """Seconds for which nothing has come although it was waited for."""

    def end(self, why: str) -> None:
        """Let the waiting request fail, for this reason."""


class Liveness:
    """Looks after the requests in flight, all of them with one question at a time."""

    def __init__(self, ping: Callable[[], Awaitable[Sign]]) -> None:
        self._breaks_silence = False
        self._ping = ping
        self._watched: dict[Waiting, str] = {}
        self._watching: asyncio.Task[None] | None = None
        self._unreachable = 0  # pings in a row

    def watch(self, connection: Waiting, method: str) -> None:
        """Look after a request until `release`."""
        self._watched[connection] = method
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())

    def release(self, connection: Waiting) -> None:
        """The request is over."""
        self._watched.pop(connection, None)

    def silence_broken(self) -> None:
        """The remote has sent a comment to somebody who waits; so it will again, as long as anything gets through."""
        self._breaks_silence = True

    async def _watch(self) -> None:
        while self._watched:
            silences = [each.silent_for for each in self._expected()]
            if max(silences, default=0.0) >= QUIET:
                await self._ask()
                await asyncio.sleep(ASK_AGAIN)
            else:
                self._unreachable = 0
                await asyncio.sleep(QUIET - max(silences, default=0.0))

    def _expected(self) -> list[Waiting]:
        """The requests of which something should be heard from time to time."""
        return [each for each, method in self._watched.items() if self._breaks_silence or method != _OPEN_ENDED]

    async def _ask(self) -> None:
        sign = await self._ping()
        self._unreachable = self._unreachable + 1 if sign is Sign.UNREACHABLE else 0
        for each in self._expected():
            silence = each.silent_for
            if silence >= QUIET and self._is_lost(silence, sign):
                each.end(f"it has sent nothing for {silence:.0f} s, and {_SAID[sign]}")

    def _is_lost(self, silence: float, sign: Sign) -> bool:
        if sign is Sign.ANSWERED and self._breaks_silence:
            return True
        return self._unreachable >= 2 or silence >= SILENCE_LIMIT
