"""Knowing what is running, so that the server can end without cutting anything off that would end in time."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyberun_mcp.telemetry import Telemetry
from cyberun_mcp.transports.edge.guard import Guard, Refusal

# 503 promises that nothing was carried out, so that a proxy may send the call elsewhere; the other one must not.
_DRAINING = Refusal(
    "draining",
    503,
    "This server is about to end, and has not carried this out: send it again.",
    {"Retry-After": "1", "Connection": "close"},
)
CUT = Refusal(
    "cut", 500, "This server had to end before the call did. It may have been carried out: look before you repeat it."
)


class Drain:
    """Whether the server is on its way out, and what still runs."""

    def __init__(self) -> None:
        self.begun = False
        self._running: set[anyio.CancelScope] = set()
        self._changed = anyio.Event()

    @property
    def running(self) -> int:
        """How many calls are not over."""
        return len(self._running)

    def enter(self, call: anyio.CancelScope) -> None:
        """A call has begun."""
        self._running.add(call)

    def leave(self, call: anyio.CancelScope) -> None:
        """A call is over."""
        self._running.discard(call)
        self._changed.set()

    async def finish(self, seconds: float) -> None:
        """Let nothing new in, wait for what runs, and cut off what takes longer than so many seconds."""
        self.begun = True
        with anyio.move_on_after(seconds):
            while self._running:
                self._changed = anyio.Event()
                await self._changed.wait()
        for call in tuple(self._running):
            call.cancel()


class RunningCalls(Guard):
    """Refuses new calls once the drain has begun: one let in now would be cut when the process ends."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, drain: Drain) -> None:
        super().__init__(app, telemetry)
        self.drain = drain

    async def refusal(self, scope: Scope) -> Refusal | None:
        return _DRAINING if self.drain.begun else None

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def send_noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        with anyio.CancelScope() as call:
            self.drain.enter(call)
            try:
                await self.app(scope, receive, send_noted)
            finally:
                self.drain.leave(call)
        if call.cancelled_caught and not answered:
            await self.turn_away(CUT, scope, receive, send)
