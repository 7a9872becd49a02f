"""Streamable HTTP: a stateless endpoint where every caller brings their own key, unless told to use its own.

Stateless, because a session would be lost on every deploy and would bind callers to one replica; progress and
cancellation by disconnect work in both eras without one.
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
from cyberun_mcp.http.dispatch import Exchanges
from cyberun_mcp.http.health import operations
from cyberun_mcp.http.middleware.body_limit import BodyLimit
from cyberun_mcp.http.middleware.concurrency_limit import ConcurrencyLimit
from cyberun_mcp.http.middleware.credentials import TEAM_HEADER, CallersKey, KnownClients
from cyberun_mcp.http.middleware.cross_origin import cross_origin
from cyberun_mcp.http.middleware.host_and_origin import LOOPBACK_NAMES, HostAndOrigin
from cyberun_mcp.http.middleware.key_check import KeyCheck
from cyberun_mcp.http.middleware.only_post import OnlyPost
from cyberun_mcp.http.middleware.paths import Paths
from cyberun_mcp.http.middleware.rate_limit import RateLimit
from cyberun_mcp.http.middleware.rejection import bearer
from cyberun_mcp.http.middleware.request_id import RequestId
from cyberun_mcp.http.middleware.running_calls import Drain, RunningCalls
from cyberun_mcp.http.middleware.trace_context import TraceContext
from cyberun_mcp.http.middleware.trusted_proxies import TrustedProxies
from cyberun_mcp.http.platform_check import Upstream
from cyberun_mcp.http.settings import MIB, EndpointSettings
from cyberun_mcp.observability.metrics import Metrics
from cyberun_mcp.server import Context, CredentialOf, build_server
from cyberun_mcp.settings import Settings

PATH = "/mcp"


class Application:
    """One endpoint: the ASGI application, its drain and its pace, and the client tokens, where it has any."""

    def __init__(
        self,
        settings: Settings,
        endpoint: EndpointSettings | None = None,
        metrics: Metrics | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        tokens: ClientTokens | None = None,
    ) -> None:
        self.endpoint = endpoint or EndpointSettings()
        self.metrics = metrics or Metrics()
        self.drain = Drain()
        if tokens is None and self.endpoint.client_tokens:
            tokens = ClientTokens(self.endpoint.client_tokens)
        self.tokens = tokens
        self._upstream = Upstream(settings, self.metrics, transport)
        credential_of = _own_credential(settings) if self.endpoint.own_key else _callers_credential
        self.throttle = Throttle()
        self._server = build_server(settings, credential_of, transport, self.metrics, self.throttle)
        self.asgi = self._at_its_paths(self._guarded(Exchanges(self._server)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Around the time in which requests are answered: its end closes every connection to the platform."""
        async with self._server.lifespan(self._server):
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self._upstream.aclose()

    def _guarded(self, app: ASGIApp) -> ASGIApp:
        """`app` behind the guards: the last one named here is the first a request meets."""
        endpoint, metrics = self.endpoint, self.metrics
        if metrics.traces:
            app = TraceContext(app)
        if endpoint.max_calls:
            app = ConcurrencyLimit(app, metrics, endpoint.max_calls)
        if endpoint.max_rate:
            app = RateLimit(app, metrics, endpoint.max_rate)
        app = self._credentials(app)
        app = BodyLimit(app, metrics, int(endpoint.max_body * MIB))
        app = OnlyPost(app, metrics)
        app = RunningCalls(app, metrics, self.drain)
        app = cross_origin(app, endpoint.allowed_origin)
        return self._own_pages_only(app)

    def _own_pages_only(self, app: ASGIApp, *, any_host: bool = False) -> ASGIApp:
        endpoint = self.endpoint
        return HostAndOrigin(app, self.metrics, _hosts(endpoint), endpoint.allowed_origin, any_host=any_host)

    def _credentials(self, app: ASGIApp) -> ASGIApp:
        if self.tokens:
            return KnownClients(app, self.metrics, self.tokens.hashes)
        if self.endpoint.own_key:
            return app
        if self.endpoint.check_key:
            app = KeyCheck(app, self.metrics, self._upstream.accepts)
        return CallersKey(app, self.metrics, self.endpoint.accept)

    def _at_its_paths(self, app: ASGIApp) -> ASGIApp:
        asked = operations(self.metrics, self.drain, self._upstream.reachable)
        app = Paths(app, PATH, {path: self._own_pages_only(each, any_host=True) for path, each in asked.items()})
        if self.endpoint.trusted_proxy:  # without one, nothing behind here reads what proxies forward
            app = TrustedProxies(app, self.endpoint.trusted_proxy)
        return RequestId(app)


def _hosts(endpoint: EndpointSettings) -> frozenset[str] | None:
    """The names to answer to: loopback's on loopback, the allowed ones, or any beyond loopback where none is named."""
    if not endpoint.on_loopback and not endpoint.allowed_host:
        return None
    return LOOPBACK_NAMES | {name.lower() for name in endpoint.allowed_host}


def _own_credential(settings: Settings) -> CredentialOf:
    ours = credential_from(settings.api_key, settings.team_id)
    return lambda _: ours


def _callers_credential(context: Context) -> Credential:
    request: Request | None = context.request
    headers = request.headers if request else Headers()
    return credential_from(bearer(headers), headers.get(TEAM_HEADER))
