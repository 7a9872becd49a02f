"""The names this server answers to, and the pages that may call it."""

import logging
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Scope

from cyberun_mcp.http.middleware.rejection import Guard, Refusal
from cyberun_mcp.observability.telemetry import Telemetry

logger = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_TOLD_AT_MOST = 100  # names; a stranger must not fill the log with made-up ones


class HostAndOrigin(Guard):
    """Refuses foreign Host and Origin headers: a web page must not reach this server through DNS rebinding.

    `hosts` None accepts any Host: beyond loopback a name in front of us is the operator's business. So does
    `any_host`, for probes and scrapers, which call by address; pages of `hosts` are welcome all the same.
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
        self.origins = frozenset(each.lower().rstrip("/") for each in origins)
        self._told: set[str] = set()

    async def refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        host = _name(headers.get("host", ""))
        if not self.any_host and host not in (self.hosts or ()):
            self._tell("Host", host, f"--allowed-host {host}")
            return Refusal("host", 421, "Unknown Host; start the server with --allowed-host to accept it.")
        origin = headers.get("origin")
        if origin is not None and not self._welcomes(origin.lower()):
            self._tell("Origin", origin, f"--allowed-origin {origin}")
            return Refusal("origin", 403, "Foreign Origin; start the server with --allowed-origin to accept it.")
        return None

    def _welcomes(self, origin: str) -> bool:
        return origin in self.origins or _name(origin.partition("://")[2]) in (self.hosts or LOOPBACK_NAMES)

    def _tell(self, header: str, name: str, flag: str) -> None:
        if name not in self._told and len(self._told) < _TOLD_AT_MOST:
            self._told.add(name)
            logger.warning("refused %s %.200r; if it is yours, start with: %.200r", header, name, flag)


def _name(authority: str) -> str:
    """Host without its port; an IPv6 address keeps its brackets."""
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0].lower()
