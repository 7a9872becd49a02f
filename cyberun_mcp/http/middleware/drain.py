"""Graceful shutdown: let no new call in, wait for the running ones, and cut off what takes too long."""

from collections.abc import Awaitable

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyberun_mcp.http.middleware.rejection import RejectingMiddleware, Rejection
from cyberun_mcp.observability.telemetry import Telemetry

ARRIVAL_SECONDS = 1.0  # for requests that are still arriving when the drain begins

# A 503 promises that nothing was carried out, so that a proxy may send the call elsewhere. A call that was cut off may
# have been carried out, so it gets a 500.
_DRAINING = Rejection(
    "draining",
    503,
    "This server is about to end, and has not carried this out: send it again.",
    {"Retry-After": "1", "Connection": "close"},
)
CUT_OFF = Rejection(
    "cut", 500, "This server had to end before the call did. It may have been carried out: look before you repeat it."
)


class Drain:
    """Tracks the running calls, and ends them when the server shuts down."""

    def __init__(self) -> None:
        self.started = False
        self._running: set[anyio.CancelScope] = set()
        self._arriving: set[anyio.CancelScope] = set()  # running calls whose request has not arrived completely
        self._changed = anyio.Event()

    @property
    def running(self) -> int:
        """The number of running calls."""
        return len(self._running)

    def enter(self, call: anyio.CancelScope) -> None:
        """A request has begun to arrive."""
        self._running.add(call)
        self._arriving.add(call)

    def arrived(self, call: anyio.CancelScope) -> None:
        """A request has arrived completely; from now on it may be carried out."""
        self._arriving.discard(call)
        self._changed.set()

    def leave(self, call: anyio.CancelScope) -> None:
        """A call has ended."""
        self._running.discard(call)
        self.arrived(call)

    async def finish(self, seconds: float) -> None:
        """Let no new call in, wait for the running ones, and cancel those that take longer than `seconds`.

        Incomplete requests get ARRIVAL_SECONDS at most: a client that stopped sending would delay the shutdown by all
        of `seconds`.
        """
        self.started = True
        deadline = anyio.current_time() + seconds
        await self._wait_then_cancel(self._arriving, min(deadline, anyio.current_time() + ARRIVAL_SECONDS))
        await self._wait_then_cancel(self._running, deadline)

    async def _wait_then_cancel(self, calls: set[anyio.CancelScope], deadline: float) -> None:
        with anyio.CancelScope(deadline=deadline):
            while calls:
                self._changed = anyio.Event()
                await self._changed.wait()
        for call in tuple(calls):
            call.cancel()


class DrainMiddleware(RejectingMiddleware):
    """Reports every request to the drain, and rejects new ones once it has started, which would be cut off."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, drain: Drain) -> None:
        super().__init__(app, telemetry)
        self.drain = drain

    async def rejection(self, scope: Scope) -> Rejection | None:
        return _DRAINING if self.drain.started else None

    async def forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = response_started = False

        async def note_arrival() -> Message:
            nonlocal arrived
            message = await receive()
            if not message.get("more_body"):
                arrived = True
                self.drain.arrived(call)
            return message

        def receive_until_arrived() -> Awaitable[Message]:
            # After the body, a wait spends its whole time in `receive`, for the disconnect: no second coroutine then.
            return receive() if arrived else note_arrival()

        async def note_response(message: Message) -> None:
            nonlocal response_started
            response_started = True
            await send(message)

        with anyio.CancelScope() as call:
            self.drain.enter(call)
            try:
                await self.app(scope, receive_until_arrived, note_response)
            finally:
                self.drain.leave(call)
        if call.cancelled_caught and not response_started:
            await self.reject(CUT_OFF if arrived else _DRAINING, scope, receive, send)
