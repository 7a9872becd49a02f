"""The answer to one POST: a JSON object, or an event stream where something has to be said before the end."""

import json
from collections.abc import Mapping
from typing import Any

import anyio
from mcp_types import RequestId
from starlette.types import Send

_AS_JSON = [(b"content-type", b"application/json")]
_AS_EVENTS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the events back until there are 4 KiB of them
]
_COMMENT = b": ping\r\n\r\n"


class Reply:
    """Sends the answer to the request called `request_id`; what is told before it makes an event stream of it."""

    def __init__(self, send: Send) -> None:
        self.request_id: RequestId | None = None
        self.streams = False
        self._send = send
        self._turn = anyio.Lock(fast_acquire=True)  # nothing may overtake the beginning of the stream

    async def tell(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Send one notification; waits while the client does not read."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        await self._stream(_event(message))

    async def breathe(self) -> None:
        """Send a comment, so that no proxy takes the stream for dead; needless while something is on its way."""
        if not self._turn.locked():
            await self._stream(_COMMENT)

    async def end(self, outcome: Mapping[str, Any], status: int = 200) -> None:
        """Send the answer itself; `status` is heard only where nothing was told before."""
        message = {"jsonrpc": "2.0", "id": self.request_id, **outcome}
        if self.streams:
            await self._send({"type": "http.response.body", "body": _event(message), "more_body": False})
            return
        body = _encoded(message)
        headers = [*_AS_JSON, (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _stream(self, piece: bytes) -> None:
        async with self._turn:
            if not self.streams:
                await self._send({"type": "http.response.start", "status": 200, "headers": _AS_EVENTS})
                self.streams = True
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})


def _event(message: Mapping[str, Any]) -> bytes:
    return b"event: message\r\ndata: %s\r\n\r\n" % _encoded(message)


def _encoded(message: Mapping[str, Any]) -> bytes:
    # In ASCII: a lone surrogate somewhere in an answer, which UTF-8 cannot carry, must not cost the whole of it.
    return json.dumps(message, separators=(",", ":")).encode()
