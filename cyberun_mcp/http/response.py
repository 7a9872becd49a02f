"""The response to one POST: a JSON object, or an event stream if notifications are sent before the result."""

import json
from collections.abc import Mapping
from typing import Any

import anyio
from mcp_types import RequestId
from starlette.types import Send

_JSON_HEADERS = [(b"content-type", b"application/json")]
_EVENT_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # otherwise nginx collects 4 KiB of events before it passes them on
]
_COMMENT = b": ping\r\n\r\n"


class ResponseWriter:
    """Writes the response to the request with `request_id`. The first notification makes it an event stream."""

    def __init__(self, send: Send) -> None:
        self.request_id: RequestId | None = None
        self.streaming = False
        self._send = send
        self._lock = anyio.Lock(fast_acquire=True)  # no event may be sent before the head of the stream

    async def notify(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Send one notification. Waits while the client does not read."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        await self._send_event(_event(message))

    async def keep_alive(self) -> None:
        """Send a comment, so that no proxy closes the stream as idle. Does nothing while an event is being sent."""
        if not self._lock.locked():
            await self._send_event(_COMMENT)

    async def finish(self, result_or_error: Mapping[str, Any], status: int = 200) -> None:
        """Send the result or the error, and end the response. An event stream has status 200 whatever `status` is."""
        message = {"jsonrpc": "2.0", "id": self.request_id, **result_or_error}
        if self.streaming:
            await self._send({"type": "http.response.body", "body": _event(message), "more_body": False})
            return
        body = _encode(message)
        headers = [*_JSON_HEADERS, (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_event(self, event: bytes) -> None:
        async with self._lock:
            if not self.streaming:
                await self._send({"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM_HEADERS})
                self.streaming = True
            await self._send({"type": "http.response.body", "body": event, "more_body": True})


def _event(message: Mapping[str, Any]) -> bytes:
    return b"event: message\r\ndata: %s\r\n\r\n" % _encode(message)


def _encode(message: Mapping[str, Any]) -> bytes:
    # As ASCII: one lone surrogate in a result, which UTF-8 cannot encode, must not cost the whole result.
    return json.dumps(message, separators=(",", ":")).encode()
