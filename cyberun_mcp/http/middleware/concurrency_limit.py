"""How much one caller may have running."""

from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.http.middleware.credentials import CALLER
from cyberun_mcp.http.middleware.rejection import Guard, Refusal
from cyberun_mcp.observability.telemetry import Telemetry

_RETRY_AFTER = "1"  # seconds; most calls are over by then


class ConcurrencyLimit(Guard):
    """Refuses what one caller starts beyond `limit` running calls: waits are long, and memory is everybody's."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, limit: int) -> None:
        super().__init__(app, telemetry)
        self.limit = limit
        self._running: Counter[bytes] = Counter()

    async def refusal(self, scope: Scope) -> Refusal | None:
        if self._running[scope.get(CALLER, b"")] < self.limit:
            return None
        words = f"{self.limit} calls of this key are running: wait for one to end."
        return Refusal("concurrency", 429, words, {"Retry-After": _RETRY_AFTER})

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = scope.get(CALLER, b"")
        self._running[caller] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]
