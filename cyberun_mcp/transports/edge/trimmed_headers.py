"""Header values without the blanks around them.

They are no part of the value (RFC 9110 §5.5), but httptools leaves those at the end, so that `Mcp-Name: x ` would not
be the name in the body and the SDK would refuse the request.
"""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

_BLANKS = b" \t"


class TrimmedHeaders:
    """Hands on requests with the values trimmed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and any(value.strip(_BLANKS) != value for _, value in scope["headers"]):
            scope = {**scope, "headers": [(name, value.strip(_BLANKS)) for name, value in scope["headers"]]}
        return self._app(scope, receive, send)
