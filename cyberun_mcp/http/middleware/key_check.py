"""Finding out at the edge that a key is dead."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Scope

from cyberun_mcp.api.credentials import Credential, credential_from
from cyberun_mcp.http.middleware.credentials import CALLER, TEAM_HEADER, unauthorized
from cyberun_mcp.http.middleware.rejection import Guard, Refusal, bearer
from cyberun_mcp.observability.telemetry import Telemetry

# What the platform says of a key: True good, False dead, None no word (an outage).
Accepts = Callable[[Credential], Awaitable[bool | None]]

# Seconds a verdict is remembered. No word is no verdict, but asking again at every call would add to the outage.
MEMORY = {True: 60.0, False: 30.0, None: 5.0}
MOST_KEYS = 10_000  # remembered; made-up keys must not fill the memory


class KeyCheck(Guard):
    """Refuses keys the platform refuses, so that a client sees a real 401 instead of fifteen failing tools.

    Only a plain no counts: when the platform cannot be asked, everybody is let through and the call itself will tell.
    """

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry, accepts: Accepts, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(app, telemetry)
        self._accepts = accepts
        self._clock = clock
        self._verdicts: OrderedDict[bytes, tuple[bool | None, float]] = OrderedDict()
        self._asking: dict[bytes, anyio.Event] = {}

    async def refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        credential = credential_from(bearer(headers), headers.get(TEAM_HEADER))
        if await self._verdict(scope[CALLER], credential) is False:
            return unauthorized("the platform does not accept this key: it is invalid, revoked or expired.")
        return None

    async def _verdict(self, caller: bytes, credential: Credential) -> bool | None:
        while True:
            known, until = self._verdicts.get(caller, (None, 0.0))
            if self._clock() < until:
                return known
            if caller not in self._asking:
                return await self._ask(caller, credential)
            await self._asking[caller].wait()

    async def _ask(self, caller: bytes, credential: Credential) -> bool | None:
        """Ask once for all requests of this caller that wait for the verdict."""
        self._asking[caller] = done = anyio.Event()
        try:
            verdict = await self._accepts(credential)
            self._verdicts[caller] = verdict, self._clock() + MEMORY[verdict]
            self._verdicts.move_to_end(caller)
            if len(self._verdicts) > MOST_KEYS:
                self._verdicts.popitem(last=False)
            return verdict
        finally:
            del self._asking[caller]
            done.set()
