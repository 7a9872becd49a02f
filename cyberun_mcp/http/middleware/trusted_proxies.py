"""Believing a reverse proxy, and nobody else, about who is calling and under which name."""

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")


class TrustedProxies:
    """Takes client, scheme and Host from `X-Forwarded-*` when the peer is a trusted proxy, else drops those headers.

    Otherwise anyone could write the address and the Host that logs and guards go by.
    """

    def __init__(self, app: ASGIApp, proxies: Collection[IPv4Network | IPv6Network]) -> None:
        self.app = app
        self.proxies = proxies
        self._forwarded = ProxyHeadersMiddleware(app, [str(each) for each in proxies])  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = MutableHeaders(scope=scope)
        if not self._trusts(scope):
            for name in _FORWARDED:
                del headers[name]
            return await self.app(scope, receive, send)
        if host := _outermost(headers.get("x-forwarded-host", "")):
            headers["host"] = host
        return await self._forwarded(scope, receive, send)  # type: ignore[arg-type]

    def _trusts(self, scope: Scope) -> bool:
        try:
            peer = ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return False
        return any(peer in each for each in self.proxies)


def _outermost(names: str) -> str:
    """The name the client used: each proxy on the way appends its own."""
    return names.partition(",")[0].strip()
