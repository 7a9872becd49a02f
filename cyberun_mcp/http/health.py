"""The health endpoints: `/livez` (is the process alive?), `/readyz` (may it get traffic?) and `/metrics`."""

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.http.middleware.drain import Drain
from cyberun_mcp.observability.metrics import Metrics

_NO_STORE = {"Cache-Control": "no-store"}


def health_endpoints(
    metrics: Metrics, drain: Drain, platform_reachable: Callable[[], Awaitable[bool]]
) -> dict[str, ASGIApp]:
    """The ASGI apps at `/livez`, `/readyz` and `/metrics`."""

    async def livez() -> Response:
        return _text(200, "alive")

    async def readyz() -> Response:
        if drain.started:
            return _text(503, f"draining, {drain.running} calls still running")
        if not await platform_reachable():
            return _text(503, "the platform cannot be reached")
        return _text(200, "ready")

    async def prometheus() -> Response:
        return Response(metrics.exposition(), headers=_NO_STORE | {"Content-Type": CONTENT_TYPE_LATEST})

    return {"/livez": _GetEndpoint(livez), "/readyz": _GetEndpoint(readyz), "/metrics": _GetEndpoint(prometheus)}


class _GetEndpoint:
    """Answers GET and HEAD with the response of `get`, and other methods with a 405."""

    def __init__(self, get: Callable[[], Awaitable[Response]]) -> None:
        self._get = get

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = scope["method"] in ("GET", "HEAD")
        response = await self._get() if allowed else PlainTextResponse("", 405, {"Allow": "GET, HEAD"})
        await response(scope, receive, send)


def _text(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status, _NO_STORE)
