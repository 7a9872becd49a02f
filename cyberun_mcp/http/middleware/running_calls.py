"""Knowing what is running, so that the server can end without cutting anything off that would end in time."""

from collections.abc import Awaitable

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyberun_mcp.http.middleware.rejection import Guard, Refusal
from cyberun_mcp.observability.telemetry import Telemetry

ARRIVAL = 1.0  # seconds that requests which are still coming in have left once the drain has begun

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
        self._arriving: set[anyio.CancelScope] = set()  # those of the running whose request has not come in wholly
        self._changed = anyio.Event()

    @property
    def running(self) -> int:
        """How many calls are not over."""
        return len(self._running)

    def enter(self, call: anyio.CancelScope) -> None:
        """A request has begun to come in."""
        self._running.add(call)
        self._arriving.add(call)

    def arrived(self, call: anyio.CancelScope) -> None:
        """A request has come in wholly: from here on it may be carried out."""
        self._arriving.discard(call)
        self._changed.set()

    def leave(self, call: anyio.CancelScope) -> None:
        """A call is over."""
        self._running.discard(call)
        self.arrived(call)

    async def finish(self, seconds: float) -> None:
        """Let nothing new in, wait for what runs, and cut off what takes longer than so many seconds.

        Half a request is no running call: a client that stopped sending would hold up the end for the whole time.
        """
        self.begun = True
        deadline = anyio.current_time() + seconds
        await self._until_none(self._arriving, min(deadline, anyio.current_time() + ARRIVAL))
        await self._until_none(self._running, deadline)

    async def _until_none(self, calls: set[anyio.CancelScope], deadline: float) -> None:
        with anyio.CancelScope(deadline=deadline):
            while calls:
                self._changed = anyio.Event()
                await self._changed.wait()
        for call in tuple(calls):
            call.cancel()


class RunningCalls(Guard):
    """Refuses new calls once the drain has begun: one let in now would be cut when the process ends."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, drain: Drain) -> None:
        super().__init__(app, telemetry)
        self.drain = drain

    async def refusal(self, scope: Scope) -> Refusal | None:
        return _DRAINING if self.drain.begun else None

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = answered = False

        async def receive_noted() -> Message:
            nonlocal arrived
            message = await receive()
            if not message.get("more_body"):
                arrived = True
                self.drain.arrived(call)
            return message

        def receive_until_arrived() -> Awaitable[Message]:
            # Later only the end of the connection is waited for, and a wait does so for long: no second coroutine then.
            return receive() if arrived else receive_noted()

        async def send_noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        with anyio.CancelScope() as call:
            self.drain.enter(call)
            try:
                await self.app(scope, receive_until_arrived, send_noted)
            finally:
                self.drain.leave(call)
        if call.cancelled_caught and not answered:
            await self.turn_away(CUT if arrived else _DRAINING, scope, receive, send)
