"""The HTTP client requests to the platform leave by; it tells the telemetry about each of them."""

from typing import Any

import httpx2

from cyberun_mcp.telemetry import Telemetry


class Outgoing(httpx2.AsyncClient):
    """An `httpx2.AsyncClient` with an ear on every request, up to the head of its answer."""

    def __init__(self, telemetry: Telemetry, **options: Any) -> None:
        super().__init__(**options)
        self._telemetry = telemetry

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send one request."""
        with self._telemetry.upstream(request) as exchange:
            response = await super().send(request, **options)
            exchange.status = response.status_code
            return response
