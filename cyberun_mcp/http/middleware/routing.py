"""Which path leads to which application, and the one method that the MCP endpoint accepts."""

from collections.abc import Awaitable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.http.middleware.rejection import RejectingMiddleware, Rejection


class Routes:
    """The MCP endpoint at `path` and the health endpoints at theirs; any other path is a plain 404.

    The health endpoints branch off before the MCP endpoint's middleware, because a probe has no key and connects by
    address, not by name.
    """

    def __init__(self, mcp_endpoint: ASGIApp, path: str, health_endpoints: dict[str, ASGIApp]) -> None:
        self.mcp_endpoint = mcp_endpoint
        self.path = path
        self.health_endpoints = health_endpoints

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or scope["path"].rstrip("/") == self.path:
            return self.mcp_endpoint(scope, receive, send)
        app = self.health_endpoints.get(scope["path"])
        not_found = PlainTextResponse(f"Nothing here; the MCP endpoint is {self.path}\n", 404)
        return (app or not_found)(scope, receive, send)


class PostOnly(RejectingMiddleware):
    """Rejects every method but POST: GET and DELETE are for sessions, and this endpoint is stateless.

    An idle GET stream would also delay the shutdown at each deploy. A person with a browser gets a readable sentence.
    """

    async def rejection(self, scope: Scope) -> Rejection | None:
        if scope["method"] == "POST":
            return None
        sentence = "This is an MCP endpoint (Streamable HTTP, stateless): connect an AI client to it with POST."
        return Rejection("method", 405, sentence, {"Allow": "POST"})
