"""The way out to the platform: a request, its answer, and nothing kept for the next.

An `httpx2.AsyncClient` keeps cookies: what the platform set for one caller would go with the requests of the others.
So requests are handed to a transport of httpx2's, which knows neither cookies nor redirects.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from cyberun_mcp.observability.telemetry import Telemetry


class Outgoing:
    """Sends requests by `transport`; `telemetry` hears of each, up to the head of its answer."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, telemetry: Telemetry) -> None:
        self._transport = transport
        self._telemetry = telemetry

    @asynccontextmanager
    async def sent(self, request: httpx2.Request) -> AsyncIterator[httpx2.Response]:
        """The answer, its body not yet read. Raises httpx2.TransportError."""
        with self._telemetry.platform_request(request) as sent:
            response = await self._transport.handle_async_request(request)
            sent.status = response.status_code
        response.request = request
        try:
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close what no request uses."""
        await self._transport.aclose()
