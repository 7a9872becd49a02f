"""What a web page of another origin may send and read: Starlette's CORS, with the headers MCP uses."""

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

_SENT = ("authorization", "content-type", "mcp-protocol-version", "mcp-method", "mcp-name", "x-team-id", "x-request-id")
_READ = ("www-authenticate", "retry-after", "x-request-id")


def cross_origin(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """`app` for pages of `origins`, which bring their key in a header: cookies are never asked for."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=[each.lower().rstrip("/") for each in origins],
        allow_methods=["POST"],
        allow_headers=[*_SENT, "traceparent", "tracestate"],
        expose_headers=_READ,
        max_age=7_200,  # seconds; the longest that browsers honour
    )
