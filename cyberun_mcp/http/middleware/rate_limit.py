"""How often one caller may ask."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Scope

from cyberun_mcp.http.middleware.credentials import CALLER
from cyberun_mcp.http.middleware.rejection import Guard, Refusal
from cyberun_mcp.observability.telemetry import Telemetry


class RateLimit(Guard):
    """Refuses what one caller sends beyond `rate` a second: an agent that runs wild must not crowd out the others.

    A second's worth may come at once. A caller is forgotten after a quiet second, when their allowance is full again.
    """

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry, rate: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(app, telemetry)
        self.rate = rate
        self._most = max(1.0, rate)
        self._clock = clock
        self._left: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # caller → requests left, and when

    async def refusal(self, scope: Scope) -> Refusal | None:
        caller, now = scope.get(CALLER, b""), self._clock()
        self._forget_before(now - self._most / self.rate)
        left, then = self._left.get(caller, (self._most, now))
        left = min(self._most, left + (now - then) * self.rate)
        self._left[caller] = (left - 1 if left >= 1 else left), now
        self._left.move_to_end(caller)
        if left >= 1:
            return None
        seconds = math.ceil((1 - left) / self.rate)
        return Refusal("rate", 429, f"Too many requests: wait {seconds} s.", {"Retry-After": str(seconds)})

    def _forget_before(self, full_again: float) -> None:
        while self._left and next(iter(self._left.values()))[1] < full_again:
            self._left.popitem(last=False)
