"""The connections of one process to the platform: their limits, time limits and proxy, and how requests are sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from cyberun_mcp import __version__
from cyberun_mcp.api.connection_pool import ConnectionPool
from cyberun_mcp.api.platform_clock import PlatformClock
from cyberun_mcp.api.submitted_tasks import SubmittedTasks
from cyberun_mcp.api.throttle import Throttle
from cyberun_mcp.observability.telemetry import NO_TELEMETRY, Telemetry
from cyberun_mcp.settings import Settings, is_loopback

CALL_CONNECTIONS = 100  # ordinary calls at a time; more queue for `pool_timeout`
WAIT_CONNECTIONS = 10_000  # event streams, and the other requests of waits
IDLE_CONNECTIONS = 20  # kept open for a few seconds, in case another request follows

# Sent with every request, for every caller.
ALWAYS_SENT = {"User-Agent": f"cyberun-mcp/{__version__}", "Accept-Encoding": "gzip, deflate"}


def timeouts(settings: Settings, read: float) -> dict[str, float]:
    """The value of a request's `timeout` extension; `read` is in seconds between two chunks of the response."""
    return {
        "connect": settings.connect_timeout,
        "pool": settings.pool_timeout,
        "write": settings.request_timeout,
        "read": read,
    }


class StatelessHttpClient:
    """Sends requests through `transport` and keeps nothing between them.

    An `httpx2.AsyncClient` keeps cookies: one the platform set for one caller would be sent with the requests of the
    others. httpx2's transports know neither cookies nor redirects.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport, telemetry: Telemetry) -> None:
        self._transport = transport
        self._telemetry = telemetry

    @asynccontextmanager
    async def send(self, request: httpx2.Request) -> AsyncIterator[httpx2.Response]:
        """The response, its body not yet read. Raises httpx2.TransportError."""
        with self._telemetry.platform_request(request) as upstream:
            response = await self._transport.handle_async_request(request)
            upstream.status = response.status_code
        response.request = request
        try:
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close every idle connection."""
        await self._transport.aclose()


@dataclass(frozen=True)
class PlatformConnections:
    """The connections of one process, separated by purpose, and what it remembers of the platform.

    Waits have their own, so that thousands of them never starve ordinary calls. Each run opens a fresh connection: the
    platform may close an idle one at the moment the run is sent, and then its outcome would be unknown.
    """

    calls: StatelessHttpClient
    waits: StatelessHttpClient
    runs: StatelessHttpClient
    telemetry: Telemetry
    throttle: Throttle
    clock: PlatformClock = field(default_factory=PlatformClock)
    submitted_tasks: SubmittedTasks = field(default_factory=SubmittedTasks)

    async def aclose(self) -> None:
        """Close every connection."""
        for client in (self.calls, self.waits, self.runs):
            await client.aclose()


def platform_connections(
    settings: Settings,
    transport: httpx2.AsyncBaseTransport | None = None,
    telemetry: Telemetry = NO_TELEMETRY,
    throttle: Throttle | None = None,
) -> PlatformConnections:
    """The connections for `settings`, none of them open yet; `transport` replaces the network in tests."""
    tls = _tls_context(settings)
    proxy = proxy_for(settings.base_url)

    def client(connections: int, idle: int = IDLE_CONNECTIONS) -> StatelessHttpClient:
        if transport is not None:
            return StatelessHttpClient(transport, telemetry)
        if proxy is None:
            return StatelessHttpClient(ConnectionPool(tls, connections, idle), telemetry)
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=idle)
        return StatelessHttpClient(httpx2.AsyncHTTPTransport(verify=tls, limits=limits, proxy=proxy), telemetry)

    return PlatformConnections(
        calls=client(CALL_CONNECTIONS),
        waits=client(WAIT_CONNECTIONS),
        runs=client(CALL_CONNECTIONS, idle=0),
        telemetry=telemetry,
        throttle=throttle or Throttle(),
    )


def proxy_for(url: str) -> str | None:
    """The proxy that the environment or the operating system names for a URL."""
    scheme, host = urlsplit(url).scheme, urlsplit(url).hostname or ""
    # An outbound proxy must not get the requests to an emulator on loopback.
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _tls_context(settings: Settings) -> SSLContext:
    """The trusted certificate authorities. Loading them takes 15 ms, so plain http gets an empty context."""
    if urlsplit(settings.base_url).scheme == "https":
        return httpx2.create_ssl_context()
    return SSLContext(PROTOCOL_TLS_CLIENT)
