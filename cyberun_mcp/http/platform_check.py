"""The two checks that the endpoint itself makes at the platform: is it reachable, and is a key valid?"""

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

TIMEOUT = 3.0  # seconds for a response; our Kubernetes manifests give a probe the same time
CACHE_SECONDS = 5.0  # between two requests to the platform, however many probes there are


class PlatformCheck:
    """Checks for probes and for the key check. Each is one cheap request: a page of one workflow."""

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = httpx2.URL(f"{settings.base_url}/r/workflows?per_page=1")
        self._extensions = {"timeout": timeouts(settings, read=TIMEOUT)}
        self._connections = platform_connections(settings, transport, telemetry)
        self._clock = clock
        self._lock = anyio.Lock()
        self._reachable = False
        self._expires = 0.0

    async def is_reachable(self) -> bool:
        """Whether the platform answers at all. A 401 counts, since this request has no key."""
        async with self._lock:
            if self._clock() >= self._expires:
                status = await self._status({})
                self._reachable = status is not None and status < 500
                self._expires = self._clock() + CACHE_SECONDS
            return self._reachable

    async def accepts_key(self, credential: Credential) -> bool | None:
        """Whether the key is valid; None if the platform does not say so (no response, or another error status)."""
        status = await self._status(credential.headers)
        if status == httpx2.codes.UNAUTHORIZED:
            return False
        return True if status in (httpx2.codes.OK, httpx2.codes.FORBIDDEN) else None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()

    async def _status(self, headers: Mapping[str, str]) -> int | None:
        all_headers = {**ALWAYS_SENT, **headers}
        try:
            with anyio.fail_after(TIMEOUT):
                request = httpx2.Request("GET", self._url, headers=all_headers, extensions=self._extensions)
                async with self._connections.calls.send(request) as response:
                    await read_bounded(response)
        except (httpx2.RequestError, ResponseTooLarge, TimeoutError):
            return None
        return response.status_code
