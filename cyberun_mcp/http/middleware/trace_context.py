"""Continuing the trace a caller has begun."""

from opentelemetry import context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

_PROPAGATOR = TraceContextTextMapPropagator()


class TraceContext:
    """Makes the request's `traceparent` header the parent of its spans; one in `_meta` is nearer, and wins."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        token = context.attach(_PROPAGATOR.extract(Headers(scope=scope)))
        try:
            return await self.app(scope, receive, send)
        finally:
            context.detach(token)
