"""Which path leads where."""

from collections.abc import Awaitable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Paths:
    """The endpoint and what an operator asks, each at its path; a plain 404 elsewhere.

    Health and metrics stand here, before the guards of the endpoint: a probe has no key and calls by address, not by
    name.
    """

    def __init__(self, endpoint: ASGIApp, path: str, operations: dict[str, ASGIApp]) -> None:
        self.endpoint = endpoint
        self.path = path
        self.operations = operations

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or scope["path"].rstrip("/") == self.path:
            return self.endpoint(scope, receive, send)
        operation = self.operations.get(scope["path"])
        missing = PlainTextResponse(f"Nothing here; the MCP endpoint is {self.path}\n", 404)
        return (operation or missing)(scope, receive, send)
