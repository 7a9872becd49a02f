"""Knowing what is running, so that the server can end without cutting anything off."""

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.telemetry import Telemetry
from cyberun_mcp.transports.edge.guard import Guard, Refusal


class Drain:
    """Whether the server is on its way out, and what still runs."""

    def __init__(self) -> None:
        self.begun = False
        self.running = 0
        self._changed = anyio.Event()

    def enter(self) -> None:
        """A call has begun."""
        self.running += 1

    def leave(self) -> None:
        """A call is over."""
        self.running -= 1
        self._changed.set()

    async def finish(self, seconds: float) -> bool:
        """Let nothing new in, and wait for what runs, at most so long; whether all of it has ended."""
        self.begun = True
        with anyio.move_on_after(seconds):
            while self.running:
                self._changed = anyio.Event()
                await self._changed.wait()
        return not self.running


class RunningCalls(Guard):
    """Refuses new calls once the drain has begun: one let in now would be cut when the process ends.

    Nothing of a refused call was carried out, so a proxy may send it to another replica.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, drain: Drain) -> None:
        super().__init__(app, telemetry)
        self.drain = drain

    async def refusal(self, scope: Scope) -> Refusal | None:
        if not self.drain.begun:
            return None
        words = "This server is about to end, and has not carried this out: send it again."
        return Refusal("draining", 503, words, {"Retry-After": "1", "Connection": "close"})

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.drain.enter()
        try:
            await self.app(scope, receive, send)
        finally:
            self.drain.leave()
