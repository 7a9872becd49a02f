"""The two questions the endpoint itself asks the platform: are you there, and is this key alive?"""

import time
from collections.abc import Callable, Mapping

import anyio
import httpx2

from cyberun_mcp.api.connections import ALWAYS_SENT, platform_connections, timeouts
from cyberun_mcp.api.credentials import Credential
from cyberun_mcp.api.responses import read_bounded
from cyberun_mcp.errors import ResponseTooLarge
from cyberun_mcp.observability.telemetry import Telemetry
from cyberun_mcp.settings import Settings

PATIENCE = 3.0  # seconds for an answer; Kubernetes gives a probe as long in our manifests
REMEMBERED = 5.0  # seconds; however many probes there are, the platform is asked so often


class Upstream:
    """The platform, as probes and the key check see it. Each question is one cheap page of one workflow."""

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = httpx2.URL(f"{settings.base_url}/r/workflows?per_page=1")
        self._known = {"timeout": timeouts(settings, read=PATIENCE)}
        self._connections = platform_connections(settings, transport, telemetry)
        self._clock = clock
        self._asking = anyio.Lock()
        self._reached = False
        self._until = 0.0

    async def reachable(self) -> bool:
        """Whether it answers at all, if only with a 401, which is what a question without a key deserves."""
        async with self._asking:
            if self._clock() >= self._until:
                status = await self._status({})
                self._reached = status is not None and status < 500
                self._until = self._clock() + REMEMBERED
            return self._reached

    async def accepts(self, credential: Credential) -> bool | None:
        """Whether it takes the key. None when it does not say: no answer, or any but a yes or a 401."""
        status = await self._status(credential.headers)
        if status == httpx2.codes.UNAUTHORIZED:
            return False
        return True if status in (httpx2.codes.OK, httpx2.codes.FORBIDDEN) else None

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connections.aclose()

    async def _status(self, headers: Mapping[str, str]) -> int | None:
        try:
            with anyio.fail_after(PATIENCE):
                request = httpx2.Request("GET", self._url, headers={**ALWAYS_SENT, **headers}, extensions=self._known)
                async with self._connections.calls.send(request) as response:
                    await read_bounded(response)
        except (httpx2.RequestError, ResponseTooLarge, TimeoutError):
            return None
        return response.status_code
