"""`HttpApp`, the whole endpoint as one ASGI app: the MCP app behind its middleware, and the health endpoints.

It is stateless: a session would be lost at every deploy and would bind a caller to one replica, and both progress and
cancellation work without one in both protocol eras. Callers bring their own keys unless the server acts with its own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp

from cyberun_mcp.api.credentials import Credential, credential_from
from cyberun_mcp.api.throttle import Throttle
from cyberun_mcp.http.client_tokens import ClientTokens
from cyberun_mcp.http.dispatch import McpApp
from cyberun_mcp.http.health import health_endpoints
from cyberun_mcp.http.middleware.authentication import TEAM_HEADER, CallerKeyAuth, ClientTokenAuth, KeyCheck, bearer
from cyberun_mcp.http.middleware.drain import Drain, DrainMiddleware
from cyberun_mcp.http.middleware.host_and_origin import LOOPBACK_NAMES, HostAndOrigin, with_cors
from cyberun_mcp.http.middleware.limits import BodyLimit, ConcurrencyLimit, RateLimit
from cyberun_mcp.http.middleware.request_id import RequestId
from cyberun_mcp.http.middleware.routing import PostOnly, Routes
from cyberun_mcp.http.middleware.trusted_proxies import TrustedProxies
from cyberun_mcp.http.platform_check import PlatformCheck
from cyberun_mcp.http.settings import MIB, HttpSettings
from cyberun_mcp.observability.metrics import Metrics
from cyberun_mcp.server import Context, CredentialOf, build_server
from cyberun_mcp.settings import Settings

PATH = "/mcp"


class HttpApp:
    """One endpoint: `asgi` answers its requests, `drain` ends it, and `tokens` are its clients' tokens, if it has any.

    `transport` replaces the network to the platform, for tests.
    """

    def __init__(
        self,
        settings: Settings,
        http_settings: HttpSettings | None = None,
        metrics: Metrics | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        tokens: ClientTokens | None = None,
    ) -> None:
        self.settings = http_settings or HttpSettings()
        self.metrics = metrics or Metrics()
        self.drain = Drain()
        if tokens is None and self.settings.client_tokens:
            tokens = ClientTokens(self.settings.client_tokens)
        self.tokens = tokens
        self._platform_check = PlatformCheck(settings, self.metrics, transport)
        credential_of = _own_credential(settings) if self.settings.own_key else _caller_credential
        self.throttle = Throttle()
        self._server = build_server(settings, credential_of, transport, self.metrics, self.throttle)
        self.asgi = self._with_routes(self._with_middleware(McpApp(self._server)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Surround the time in which requests are answered. The end closes all connections to the platform."""
        async with self._server.lifespan(self._server):
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self._platform_check.aclose()

    def _with_middleware(self, app: ASGIApp) -> ASGIApp:
        """`app` behind its middleware. A request passes it from the last line here to the first."""
        settings, metrics = self.settings, self.metrics
        if metrics.traces:
            from cyberun_mcp.observability.tracing import TraceContext  # it needs the extra `otel`

            app = TraceContext(app)
        if settings.max_calls:
            app = ConcurrencyLimit(app, metrics, settings.max_calls)
        if settings.max_rate:
            app = RateLimit(app, metrics, settings.max_rate)
        app = self._with_authentication(app)
        app = BodyLimit(app, metrics, int(settings.max_body * MIB))
        app = PostOnly(app, metrics)
        app = DrainMiddleware(app, metrics, self.drain)
        app = with_cors(app, settings.allowed_origin)
        return self._with_host_check(app)

    def _with_authentication(self, app: ASGIApp) -> ASGIApp:
        if self.tokens:
            return ClientTokenAuth(app, self.metrics, self.tokens.hashes)
        if self.settings.own_key:
            return app
        if self.settings.check_key:
            app = KeyCheck(app, self.metrics, self._platform_check.accepts_key)
        return CallerKeyAuth(app, self.metrics, self.settings.accept)

    def _with_host_check(self, app: ASGIApp, *, any_host: bool = False) -> ASGIApp:
        hosts = _accepted_hosts(self.settings)
        return HostAndOrigin(app, self.metrics, hosts, self.settings.allowed_origin, any_host=any_host)

    def _with_routes(self, app: ASGIApp) -> ASGIApp:
        health = health_endpoints(self.metrics, self.drain, self._platform_check.is_reachable)
        checked = {path: self._with_host_check(endpoint, any_host=True) for path, endpoint in health.items()}
        app = Routes(app, PATH, checked)
        if self.settings.trusted_proxy:  # otherwise nothing behind this line reads `X-Forwarded-*`
            app = TrustedProxies(app, self.settings.trusted_proxy)
        return RequestId(app)


def _accepted_hosts(settings: HttpSettings) -> frozenset[str] | None:
    """Loopback's names and the allowed ones; None (any name) beyond loopback if no name is allowed explicitly."""
    if not settings.on_loopback and not settings.allowed_host:
        return None
    return LOOPBACK_NAMES | {name.lower() for name in settings.allowed_host}


def _own_credential(settings: Settings) -> CredentialOf:
    credential = credential_from(settings.api_key, settings.team_id)
    return lambda _: credential


def _caller_credential(context: Context) -> Credential:
    request: Request | None = context.request
    headers = request.headers if request else Headers()
    return credential_from(bearer(headers), headers.get(TEAM_HEADER))
