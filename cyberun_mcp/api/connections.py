"""Connections to the platform: their limits, and what their failures mean for the request that met one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from cyberun_mcp import __version__
from cyberun_mcp.api.clock import PlatformClock
from cyberun_mcp.api.outgoing import Outgoing
from cyberun_mcp.api.pool import StackPool
from cyberun_mcp.api.submissions import Submissions
from cyberun_mcp.api.throttle import Pace
from cyberun_mcp.errors import Unreachable
from cyberun_mcp.observability.telemetry import NO_TELEMETRY, Telemetry
from cyberun_mcp.settings import Settings, is_loopback

CALL_CONNECTIONS = 100  # ordinary calls at a time; more queue for `pool_timeout`
WAIT_CONNECTIONS = 10_000  # event streams, and what else waits send
IDLE_CONNECTIONS = 20  # kept open, for a few seconds, in case another request follows

# The request provably never left: no connection, or refused before the first byte.
_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.LocalProtocolError,
    httpx2.UnsupportedProtocol,
    httpx2.ProxyError,
)


# What every request brings, whoever it is for.
ALWAYS_SENT = {"User-Agent": f"cyberun-mcp/{__version__}", "Accept-Encoding": "gzip, deflate"}


def timeouts(settings: Settings, read: float) -> dict[str, float]:
    """The time limits of one request, for its `timeout` extension: `read` seconds between two bytes of its answer."""
    return {
        "connect": settings.connect_timeout,
        "pool": settings.pool_timeout,
        "write": settings.request_timeout,
        "read": read,
    }


@dataclass(frozen=True)
class Pools:
    """The connections of one process, apart by purpose, and what it remembers of the platform.

    Waits have their own, so that thousands of them never starve ordinary calls. A run takes a fresh one: on one that
    has idled, the platform may hang up just as the run is sent, and nobody could tell whether it was accepted.
    """

    calls: Outgoing
    waits: Outgoing
    runs: Outgoing
    telemetry: Telemetry
    pace: Pace
    clock: PlatformClock = field(default_factory=PlatformClock)
    submissions: Submissions = field(default_factory=Submissions)

    async def aclose(self) -> None:
        """Close every connection."""
        for each in (self.calls, self.waits, self.runs):
            await each.aclose()


def pools(
    settings: Settings,
    transport: httpx2.AsyncBaseTransport | None = None,
    telemetry: Telemetry = NO_TELEMETRY,
    pace: Pace | None = None,
) -> Pools:
    """The connections `settings` ask for, none of them open yet; `transport` replaces the network, for tests."""
    tls = _tls(settings)
    proxy = proxy_for(settings.base_url)

    def pool(connections: int, idle: int = IDLE_CONNECTIONS) -> Outgoing:
        if transport is not None:
            return Outgoing(transport, telemetry)
        if proxy is None:
            return Outgoing(StackPool(tls, connections, idle), telemetry)
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=idle)
        return Outgoing(httpx2.AsyncHTTPTransport(verify=tls, limits=limits, proxy=proxy), telemetry)

    return Pools(
        calls=pool(CALL_CONNECTIONS),
        waits=pool(WAIT_CONNECTIONS),
        runs=pool(CALL_CONNECTIONS, idle=0),
        telemetry=telemetry,
        pace=pace or Pace(),
    )


def proxy_for(url: str) -> str | None:
    """The proxy that the environment, or the system, names for a URL."""
    scheme, host = urlsplit(url).scheme, urlsplit(url).hostname or ""
    # A proxy for the outside world must not get the requests to an emulator on loopback.
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    named = proxies.get(scheme) or proxies.get("all")
    return f"http://{named}" if named and "://" not in named else named


def _tls(settings: Settings) -> SSLContext:
    """Whom to trust. Reading the authorities takes 15 ms; over plain http, where none are needed, nobody is trusted."""
    if urlsplit(settings.base_url).scheme == "https":
        return httpx2.create_ssl_context()
    return SSLContext(PROTOCOL_TLS_CLIENT)


class Journey:
    """How far a request got, as the connection tells it."""

    def __init__(self, on_begun: Callable[[], None] = lambda: None) -> None:
        self.begun = False  # whether a first byte may have left
        self._on_begun = on_begun

    async def note(self, event: str, _: Mapping[str, Any]) -> None:
        if event.endswith(".send_request_headers.started"):
            self.begun = True
            self._on_begun()


class transport_errors:  # noqa: N801 - reads as a function where it is used
    """Turns the transport's exceptions into Unreachable, which knows whether the request may have been received."""

    def __init__(self, journey: Journey | None = None) -> None:
        self._journey = journey

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, httpx2.RequestError):
            raise Unreachable(_words_for(error), sent=not isinstance(error, _NEVER_SENT)) from error
        if isinstance(error, TimeoutError):
            sent = self._journey is None or self._journey.begun
            raise Unreachable("no answer within the time this call may take", sent=sent) from error


def _words_for(error: httpx2.RequestError) -> str:
    kind = type(error).__name__
    return f"{kind}: {error}" if str(error) else kind
