"""How large a request may be."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyberun_mcp.http.middleware.rejection import Guard, Refusal
from cyberun_mcp.observability.telemetry import Telemetry


class BodyLimit(Guard):
    """Refuses bodies above `limit` bytes, announced or not: a body is held in memory, so a few could exhaust it."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, limit: int) -> None:
        super().__init__(app, telemetry)
        self.limit = limit
        self._too_large = Refusal("size", 413, f"The request is larger than the {limit:,} bytes this server takes.")

    async def refusal(self, scope: Scope) -> Refusal | None:
        announced = Headers(scope=scope).get("content-length", "")
        return self._too_large if announced.isdigit() and int(announced) > self.limit else None

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if headers.get("content-length", "").isdigit() and "transfer-encoding" not in headers:
            # No server reads more than was announced as the body of this request.
            return await self.app(scope, receive, send)
        size, begun = 0, False

        async def receive_counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.limit and not begun:
                raise _TooLarge
            return message

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            return await self.app(scope, receive_counted, send_noted)
        except _TooLarge:
            return await self.turn_away(self._too_large, scope, receive, send)


class _TooLarge(Exception):
    pass
