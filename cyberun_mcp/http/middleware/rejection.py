"""The guard: an ASGI application that turns some requests away and lets the others through."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.observability.telemetry import Telemetry


@dataclass(frozen=True)
class Refusal:
    """Why a request is turned away: `reason` for the metrics, `message` for who sent it."""

    reason: str
    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, scope: Scope) -> Response:
        """A JSON-RPC error, whose text MCP clients show; a sentence for anyone who does not POST."""
        if scope["method"] != "POST":
            return PlainTextResponse(self.message + "\n", self.status, dict(self.headers))
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": self.status, "message": self.message}}
        return JSONResponse(error, self.status, dict(self.headers))


class Guard:
    """Base of the guards. One says whom it refuses in `refusal`; what it does around a call, in `pass_on`."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self.app = app
        self.telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        refusal = await self.refusal(scope)
        if refusal is None:
            return await self.pass_on(scope, receive, send)
        return await self.turn_away(refusal, scope, receive, send)

    async def refusal(self, scope: Scope) -> Refusal | None:
        """Why this request goes no further; None when it may."""
        return None

    def pass_on(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Let the request through."""
        # No coroutine of its own: a wait would keep one for each guard.
        return self.app(scope, receive, send)

    async def turn_away(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that goes no further."""
        self.telemetry.refused(refusal.reason)
        await refusal.response(scope)(scope, receive, send)


def bearer(headers: Headers) -> str:
    """The key or token of an `Authorization: Bearer` header, or "" where there is none."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""
