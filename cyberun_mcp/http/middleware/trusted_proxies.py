"""`X-Forwarded-*`: believed from trusted reverse proxies, removed from everyone else's requests."""

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_FORWARDED_HEADERS = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")


class TrustedProxies:
    """Takes client, scheme and Host from `X-Forwarded-*` if the peer is a trusted proxy, else removes those headers.

    Otherwise anyone could choose the address and the Host that logs and middleware rely on.
    """

    def __init__(self, app: ASGIApp, proxies: Collection[IPv4Network | IPv6Network]) -> None:
        self.app = app
        self.proxies = proxies
        self._with_forwarded = ProxyHeadersMiddleware(app, [str(proxy) for proxy in proxies])  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = MutableHeaders(scope=scope)
        if not self._trusts(scope):
            for name in _FORWARDED_HEADERS:
                del headers[name]
            return await self.app(scope, receive, send)
        if host := _first(headers.get("x-forwarded-host", "")):
            headers["host"] = host
        return await self._with_forwarded(scope, receive, send)  # type: ignore[arg-type]

    def _trusts(self, scope: Scope) -> bool:
        try:
            peer = ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return False
        return any(peer in network for network in self.proxies)


def _first(names: str) -> str:
    """The name that the client used: each proxy on the way appends its own."""
    return names.partition(",")[0].strip()
