"""Detects requests on dead connections, which neither end has been told about.

A middlebox that drops a connection tells neither end. TCP keepalive detects a path that swallows everything, but not a
proxy that answers the probes itself. So after a long silence the bridge pings the remote, on a separate connection. It
never sends the request again. A remote that works silently, as many do, looks the same as a dead connection, so the
result of the ping decides:

    the remote is unreachable, twice in a row             the request is lost
    it answers, and it has sent keep-alives before        the request is lost
    anything else                                         keep waiting, up to SILENCE_LIMIT

Keep-alives are comments on the event stream of a waiting request. `cyberun-mcp http` and every server of the Python
SDK send one every 15 seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Protocol

PING_AFTER = 60.0  # seconds of silence before the first ping; a remote that sends keep-alives has missed four by then
PING_INTERVAL = 30.0  # seconds between two pings
SILENCE_LIMIT = 300.0  # seconds; the official SDKs' clients wait as long for the next byte, so remotes keep to it

_SUBSCRIPTION = "subscriptions/listen"  # may be silent for hours, unless the remote sends keep-alives


class PingResult(Enum):
    """The outcome of a ping."""

    ANSWERED = auto()
    NO_ANSWER = auto()  # connected, but no response in time, or only one from a gateway
    UNREACHABLE = auto()  # no connection


_RESULT_TEXTS = {
    PingResult.ANSWERED: "answers a ping on another connection",
    PingResult.NO_ANSWER: "does not answer a ping either",
    PingResult.UNREACHABLE: "cannot be reached any more",
}


class WatchedReader(Protocol):
    """The receiving side of a connection with a request in flight."""

    @property
    def silent_for(self) -> float:
        """Seconds since the current read began or last received a byte."""

    def fail(self, reason: str) -> None:
        """End the read with this reason."""


class Liveness:
    """Watches all requests in flight; one ping at a time serves all of them."""

    def __init__(self, ping: Callable[[], Awaitable[PingResult]]) -> None:
        self._sends_keep_alives = False
        self._ping = ping
        self._watched: dict[WatchedReader, str] = {}
        self._watching: asyncio.Task[None] | None = None
        self._unreachable_pings = 0  # in a row

    def watch(self, reader: WatchedReader, method: str) -> None:
        """Watch a request until `unwatch`."""
        self._watched[reader] = method
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())

    def unwatch(self, reader: WatchedReader) -> None:
        """Stop watching: the request is over."""
        self._watched.pop(reader, None)

    def keep_alive_received(self) -> None:
        """The remote has sent a keep-alive to a waiting request, so later silence means that the path is broken."""
        self._sends_keep_alives = True

    async def _watch(self) -> None:
        while self._watched:
            silence = max((reader.silent_for for reader in self._not_silent_by_design()), default=0.0)
            if silence >= PING_AFTER:
                await self._ping_and_judge()
                await asyncio.sleep(PING_INTERVAL)
            else:
                self._unreachable_pings = 0
                await asyncio.sleep(PING_AFTER - silence)

    def _not_silent_by_design(self) -> list[WatchedReader]:
        """The requests that should receive data from time to time."""
        return [
            reader for reader, method in self._watched.items() if self._sends_keep_alives or method != _SUBSCRIPTION
        ]

    async def _ping_and_judge(self) -> None:
        result = await self._ping()
        self._unreachable_pings = self._unreachable_pings + 1 if result is PingResult.UNREACHABLE else 0
        for reader in self._not_silent_by_design():
            silence = reader.silent_for
            if silence >= PING_AFTER and self._is_lost(silence, result):
                reader.fail(f"it has sent nothing for {silence:.0f} s, and {_RESULT_TEXTS[result]}")

    def _is_lost(self, silence: float, result: PingResult) -> bool:
        if result is PingResult.ANSWERED and self._sends_keep_alives:
            return True
        return self._unreachable_pings >= 2 or silence >= SILENCE_LIMIT
