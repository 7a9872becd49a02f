"""How large one request may be, and how many requests and running calls one caller may have."""

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyberun_mcp.http.middleware.authentication import CALLER
from cyberun_mcp.http.middleware.rejection import RejectingMiddleware, Rejection
from cyberun_mcp.observability.telemetry import Telemetry

_RETRY_AFTER = "1"  # seconds; most calls have ended by then


class BodyLimit(RejectingMiddleware):
    """Rejects bodies above `limit` bytes, with or without Content-Length: a few could use up the memory."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, limit: int) -> None:
        super().__init__(app, telemetry)
        self.limit = limit
        self._too_large = Rejection("size", 413, f"The request is larger than the {limit:,} bytes this server takes.")

    async def rejection(self, scope: Scope) -> Rejection | None:
        announced = Headers(scope=scope).get("content-length", "")
        return self._too_large if announced.isdigit() and int(announced) > self.limit else None

    async def forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if headers.get("content-length", "").isdigit() and "transfer-encoding" not in headers:
            # Servers never read more than Content-Length as the body, so there is nothing to count.
            return await self.app(scope, receive, send)
        size, response_started = 0, False

        async def count_received() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.limit and not response_started:
                raise _BodyTooLarge
            return message

        async def note_response(message: Message) -> None:
            nonlocal response_started
            response_started = True
            await send(message)

        try:
            return await self.app(scope, count_received, note_response)
        except _BodyTooLarge:
            return await self.reject(self._too_large, scope, receive, send)


class _BodyTooLarge(Exception):
    """Ends the application's reading of a body that exceeds the limit."""


class RateLimit(RejectingMiddleware):
    """Rejects what one caller sends beyond `rate` requests a second, so that a runaway agent cannot crowd out others.

    A token bucket that holds one second's worth. A caller is forgotten once the bucket is full again.
    """

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry, rate: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(app, telemetry)
        self.rate = rate
        self._capacity = max(1.0, rate)
        self._clock = clock
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # caller → (requests left, updated at)

    async def rejection(self, scope: Scope) -> Rejection | None:
        caller, now = scope.get(CALLER, b""), self._clock()
        self._forget_full_buckets(now)
        left, updated = self._buckets.get(caller, (self._capacity, now))
        left = min(self._capacity, left + (now - updated) * self.rate)
        self._buckets[caller] = (left - 1 if left >= 1 else left), now
        self._buckets.move_to_end(caller)
        if left >= 1:
            return None
        seconds = math.ceil((1 - left) / self.rate)
        return Rejection("rate", 429, f"Too many requests: wait {seconds} s.", {"Retry-After": str(seconds)})

    def _forget_full_buckets(self, now: float) -> None:
        full_since = now - self._capacity / self.rate
        while self._buckets and next(iter(self._buckets.values()))[1] < full_since:
            self._buckets.popitem(last=False)


class ConcurrencyLimit(RejectingMiddleware):
    """Rejects calls of a caller who has `limit` running already: waits are long, and all callers share the memory."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, limit: int) -> None:
        super().__init__(app, telemetry)
        self.limit = limit
        self._running: Counter[bytes] = Counter()

    async def rejection(self, scope: Scope) -> Rejection | None:
        if self._running[scope.get(CALLER, b"")] < self.limit:
            return None
        message = f"{self.limit} calls of this key are running: wait for one to end."
        return Rejection("concurrency", 429, message, {"Retry-After": _RETRY_AFTER})

    async def forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = scope.get(CALLER, b"")
        self._running[caller] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]
