"""What an operator asks: is it alive, may it get traffic, what has it done?"""

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.http.middleware.running_calls import Drain
from cyberun_mcp.observability.metrics import Metrics

_NOT_TO_BE_KEPT = {"Cache-Control": "no-store"}


def operations(metrics: Metrics, drain: Drain, reachable: Callable[[], Awaitable[bool]]) -> dict[str, ASGIApp]:
    """The applications at `/livez`, `/readyz` and `/metrics`."""

    async def livez() -> Response:
        return _said(200, "alive")

    async def readyz() -> Response:
        if drain.begun:
            return _said(503, f"draining, {drain.running} calls still running")
        if not await reachable():
            return _said(503, "the platform cannot be reached")
        return _said(200, "ready")

    async def numbers() -> Response:
        return Response(metrics.exposition(), headers=_NOT_TO_BE_KEPT | {"Content-Type": CONTENT_TYPE_LATEST})

    return {"/livez": _Question(livez), "/readyz": _Question(readyz), "/metrics": _Question(numbers)}


class _Question:
    """Answers GET and HEAD with what `answer` gives."""

    def __init__(self, answer: Callable[[], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["method"] in ("GET", "HEAD")
        answer = await self._answer() if known else PlainTextResponse("", 405, {"Allow": "GET, HEAD"})
        await answer(scope, receive, send)


def _said(status: int, words: str) -> Response:
    return PlainTextResponse(words + "\n", status, _NOT_TO_BE_KEPT)
