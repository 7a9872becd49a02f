"""`Rejection`, the response to a request that may not pass, and the base class of all middleware that sends one."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.observability.telemetry import Telemetry


@dataclass(frozen=True)
class Rejection:
    """Why a request is rejected. `reason` is a label of the metrics, `message` goes to the client."""

    reason: str
    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, scope: Scope) -> Response:
        """A JSON-RPC error to a POST, since MCP clients show its text; plain text to any other method."""
        if scope["method"] != "POST":
            return PlainTextResponse(self.message + "\n", self.status, dict(self.headers))
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": self.status, "message": self.message}}
        return JSONResponse(error, self.status, dict(self.headers))


class RejectingMiddleware:
    """Base class. Subclasses override `rejection` to reject requests, and `forward` to act around the others."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self.app = app
        self.telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        rejection = await self.rejection(scope)
        if rejection is None:
            return await self.forward(scope, receive, send)
        return await self.reject(rejection, scope, receive, send)

    async def rejection(self, scope: Scope) -> Rejection | None:
        """Why this request is rejected, or None if it may pass."""
        return None

    def forward(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the next application."""
        # Not `async def`: a wait would keep one more coroutine in memory for each middleware.
        return self.app(scope, receive, send)

    async def reject(self, rejection: Rejection, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the rejection and send it."""
        self.telemetry.rejected(rejection.reason)
        await rejection.response(scope)(scope, receive, send)
