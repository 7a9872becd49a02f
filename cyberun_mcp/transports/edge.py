"""What stands between the network and the MCP application: small pure-ASGI guards, each with the attack it stops."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


def bearer_key(headers: Headers) -> str:
    """The key of an `Authorization: Bearer` header, or "" where there is none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


class HostAndOrigin:
    """Refuses foreign Host and Origin headers: a web page must not reach this server through DNS rebinding.

    `hosts` None accepts any Host: beyond loopback a name in front of us is the operator's business.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(Headers(scope=scope))):
            return await refusal(scope, receive, send)
        return await self.app(scope, receive, send)

    def _refusal(self, headers: Headers) -> Response | None:
        if self.hosts is not None and _name(headers.get("host", "")) not in self.hosts:
            return PlainTextResponse("Unknown Host; start the server with --allowed-host to accept it.\n", 421)
        origin = headers.get("origin")
        if origin is not None and _name(origin.partition("://")[2]) not in (self.hosts or LOOPBACK_NAMES):
            return PlainTextResponse("Foreign Origin; start the server with --allowed-host to accept it.\n", 403)
        return None


class CallersKey:
    """Lets only POSTs with an integration key through; the key goes on to the platform and is kept nowhere.

    GET and DELETE belong to sessions, which this stateless endpoint has none of.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self.app = app
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == self.path and (refusal := self._refusal(scope)):
            return await refusal(scope, receive, send)
        return await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["method"] != "POST":
            hint = "This is an MCP endpoint (Streamable HTTP, stateless): connect an AI client to it with POST.\n"
            return PlainTextResponse(hint, 405, {"Allow": "POST"})
        key = bearer_key(Headers(scope=scope))
        if key.startswith("sk-"):
            return None
        reason = "an integration key (sk-…) is needed" if key else "no key"
        body = {"error": "invalid_token", "error_description": f"{reason}: send Authorization: Bearer sk-…"}
        return JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})


def _name(authority: str) -> str:
    """Host without its port; an IPv6 address keeps its brackets."""
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0].lower()
