"""Connections to the platform: their limits, and what their failures mean for the request that met one."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx2

from cyberun_mcp import __version__
from cyberun_mcp.errors import Unreachable
from cyberun_mcp.settings import Settings

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


def pool(settings: Settings, connections: int, transport: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncClient:
    """A client of at most so many `connections`; `transport` replaces the network, for tests."""
    return httpx2.AsyncClient(
        headers={"User-Agent": f"cyberun-mcp/{__version__}"},
        timeout=timeouts(settings, read=settings.request_timeout),
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=IDLE_CONNECTIONS),
        follow_redirects=False,
        transport=transport,
        # A proxy for the outside world must not get the requests to an emulator on loopback.
        trust_env=not _is_loopback(settings.base_url),
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
