"""Connections to the platform: their limits, and what their failures mean for the request that met one."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx2

from cyberun_mcp import __version__
from cyberun_mcp.api.outgoing import Outgoing
from cyberun_mcp.api.pool import StackPool
from cyberun_mcp.errors import Unreachable
from cyberun_mcp.settings import Settings
from cyberun_mcp.telemetry import SILENT, Telemetry

CALL_CONNECTIONS = 100  # ordinary calls at a time; more queue for `pool_timeout`
WAIT_CONNECTIONS = 10_000  # event streams, and what else waits send
IDLE_CONNECTIONS = 20  # kept open, for httpx2's 5 s, in case another request follows

# The request provably never left: no connection, or refused before the first byte.
_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.LocalProtocolError,
    httpx2.UnsupportedProtocol,
    httpx2.ProxyError,
)


def timeouts(settings: Settings, read: float) -> httpx2.Timeout:
    """The time limits of one request, with `read` seconds between two bytes of its answer."""
    return httpx2.Timeout(
        settings.request_timeout, read=read, connect=settings.connect_timeout, pool=settings.pool_timeout
    )


@dataclass(frozen=True)
class Pools:
    """The connections of one process, apart by purpose.

    Waits have their own, so that thousands of them never starve ordinary calls. A run takes a fresh one: on one that
    has idled, the platform may hang up just as the run is sent, and nobody could tell whether it was accepted.
    """

    calls: httpx2.AsyncClient
    waits: httpx2.AsyncClient
    runs: httpx2.AsyncClient
    telemetry: Telemetry

    async def aclose(self) -> None:
        """Close every connection."""
        for each in (self.calls, self.waits, self.runs):
            await each.aclose()


def pools(
    settings: Settings, transport: httpx2.AsyncBaseTransport | None = None, telemetry: Telemetry = SILENT
) -> Pools:
    """The connections `settings` ask for, none of them open yet; `transport` replaces the network, for tests."""
    tls = _tls(settings)
    return Pools(
        calls=_pool(settings, transport, telemetry, tls, CALL_CONNECTIONS),
        waits=_pool(settings, transport, telemetry, tls, WAIT_CONNECTIONS),
        runs=_pool(settings, transport, telemetry, tls, CALL_CONNECTIONS, idle=0),
        telemetry=telemetry,
    )


def _tls(settings: Settings) -> SSLContext:
    """Whom to trust. Reading the authorities takes 15 ms; over plain http, where none are needed, nobody is trusted."""
    if urlsplit(settings.base_url).scheme == "https":
        return httpx2.create_ssl_context()
    return SSLContext(PROTOCOL_TLS_CLIENT)


def _pool(
    settings: Settings,
    transport: httpx2.AsyncBaseTransport | None,
    telemetry: Telemetry,
    tls: SSLContext,
    connections: int,
    idle: int = IDLE_CONNECTIONS,
) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=idle)
    # A proxy for the outside world must not get the requests to an emulator on loopback.
    proxied = bool(getproxies()) and not _is_loopback(settings.base_url)
    return Outgoing(
        telemetry,
        headers={"User-Agent": f"cyberun-mcp/{__version__}"},
        timeout=timeouts(settings, read=settings.request_timeout),
        limits=limits,
        follow_redirects=False,
        transport=transport or (None if proxied else StackPool(tls, limits)),
        verify=tls,
        trust_env=proxied,
    )


class Journey:
    """How far a request got, as the connection tells it."""

    def __init__(self) -> None:
        self.begun = False  # whether a first byte may have left

    async def note(self, event: str, _: Mapping[str, Any]) -> None:
        self.begun = self.begun or event.endswith(".send_request_headers.started")


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


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
