"""`X-Request-ID`: one ID for a request, its response and its log lines."""

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyberun_mcp.observability.logs import request_id
from cyberun_mcp.redaction import redact

HEADER = "x-request-id"
_VALID_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


class RequestId:
    """Takes the caller's `X-Request-ID`, or makes a new one, and sends it back.

    An ID of another form is replaced, since it could forge log lines or carry a key into them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        received_id = Headers(scope=scope).get(HEADER, "")
        valid = _VALID_ID.fullmatch(received_id) and redact(received_id) == received_id
        current_id = received_id if valid else secrets.token_hex(8)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = current_id
            await send(message)

        token = request_id.set(current_id)
        try:
            return await self.app(scope, receive, send_with_id)
        finally:
            request_id.reset(token)
