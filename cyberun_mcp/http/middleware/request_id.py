"""Giving every request a name that its answer and its log lines share."""

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyberun_mcp.observability.logs import request_id
from cyberun_mcp.redaction import redact

HEADER = "x-request-id"
_SANE = re.compile(r"[\w.-]{1,64}", re.ASCII)


class RequestId:
    """Takes the caller's `X-Request-ID`, or makes one, and sends it back.

    One of another shape is replaced: it could forge log lines, or carry a key into them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get(HEADER, "")
        name = given if _SANE.fullmatch(given) and redact(given) == given else secrets.token_hex(8)

        async def send_with_name(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        token = request_id.set(name)
        try:
            return await self.app(scope, receive, send_with_name)
        finally:
            request_id.reset(token)
