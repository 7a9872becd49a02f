"""Which Host and Origin headers are accepted, and what pages of other origins may send and read (CORS)."""

import logging
import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Scope

from cyberun_mcp.http.middleware.rejection import RejectingMiddleware, Rejection
from cyberun_mcp.observability.telemetry import Telemetry

logger = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://((?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]+)?)")

_MOST_WARNINGS = 100  # names; requests with made-up names must not fill the log
_REQUEST_HEADERS = (
    "authorization",
    "content-type",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
    "x-team-id",
    "x-request-id",
    "traceparent",
    "tracestate",
)
_RESPONSE_HEADERS = ("www-authenticate", "retry-after", "x-request-id")


class HostAndOrigin(RejectingMiddleware):
    """Rejects foreign Host and Origin headers, so that no web page reaches this server through DNS rebinding.

    `hosts` None accepts any Host: beyond loopback, the operator decides which names lead here. `any_host` accepts any
    Host too, for probes and scrapers, which connect by address; pages served from `hosts` may still call.
    """

    def __init__(
        self,
        app: ASGIApp,
        telemetry: Telemetry,
        hosts: Collection[str] | None,
        origins: Collection[str],
        *,
        any_host: bool = False,
    ) -> None:
        super().__init__(app, telemetry)
        self.hosts = hosts
        self.any_host = any_host or hosts is None
        self.origins = frozenset(_normalized(origins))
        self._warned: set[str] = set()

    async def rejection(self, scope: Scope) -> Rejection | None:
        headers = Headers(scope=scope)
        host = _without_port(headers.get("host", ""))
        if not self.any_host and host not in (self.hosts or ()):
            self._warn_once("Host", host, f"--allowed-host {host}")
            return Rejection("host", 421, "Unknown Host; start the server with --allowed-host to accept it.")
        origin = ", ".join(headers.getlist("origin"))
        if "origin" in headers and not self._allows(origin.lower()):
            self._warn_once("Origin", origin, f"--allowed-origin {origin}")
            return Rejection("origin", 403, "Foreign Origin; start the server with --allowed-origin to accept it.")
        return None

    def _allows(self, origin: str) -> bool:
        if origin in self.origins:
            return True
        # Strictly, since `http://127.0.0.1:1@evil.example` has another host than it seems to have.
        authority = _ORIGIN.fullmatch(origin)
        return authority is not None and _without_port(authority[1]) in (self.hosts or LOOPBACK_NAMES)

    def _warn_once(self, header: str, name: str, flag: str) -> None:
        if name not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(name)
            logger.warning("refused %s %.200r; if it is yours, start with: %.200r", header, name, flag)


def with_cors(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """`app` behind Starlette's CORS middleware for `origins`. No cookies: pages send their key in a header."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=_normalized(origins),
        allow_methods=["POST"],
        allow_headers=_REQUEST_HEADERS,
        expose_headers=_RESPONSE_HEADERS,
        max_age=7_200,  # seconds; the longest that browsers accept
    )


def _normalized(origins: Collection[str]) -> list[str]:
    return [origin.lower().rstrip("/") for origin in origins]


def _without_port(authority: str) -> str:
    """The host of `host:port`; an IPv6 address keeps its brackets."""
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0].lower()
