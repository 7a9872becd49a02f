"""Extracts the JSON-RPC messages from the HTTP response to a request, each as a line for the client.

A message that answers a different request is never forwarded. The client would take it for the response to that
request, which may already have one, or may still get it.
"""

import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from cyberun_mcp.bridge.connection_pool import HttpResponse
from cyberun_mcp.bridge.error_texts import http_error, not_mcp
from cyberun_mcp.bridge.errors import InvalidResponse
from cyberun_mcp.bridge.event_stream import EventStream
from cyberun_mcp.bridge.jsonrpc import JsonRpcId, Message, usable_id
from cyberun_mcp.bridge.remote_settings import RemoteSettings

_OWN_ADVICE = (401, 403, 408, 429)  # for these, the bridge knows better than the remote what the user should do
_BODY_KEYS = ("method", "result", "error")  # every JSON-RPC message has one of them
_UNKNOWN_IDS = (None, "server-error")  # the ids that remotes use for a request they could not parse
logger = logging.getLogger(__name__)


class StreamPosition:
    """How far an event stream has been read: what a remote needs to resume it, and the seconds to wait before."""

    def __init__(self) -> None:
        self.last_id = ""
        self.retry: float | None = None


class RemoteMessage(NamedTuple):
    """A message from the remote; `final` is True for the response to the request, after which nothing follows."""

    line: bytes
    body: dict[str, Any]
    final: bool


async def messages_for(
    remote: RemoteSettings, response: HttpResponse, request: Message, position: StreamPosition
) -> AsyncIterator[RemoteMessage]:
    """The messages in the response to `request`. Raises RequestFailed, ConnectionLost or InvalidResponse."""
    if response.headers.get("content-encoding", "identity").lower() != "identity" and response.status < 300:
        raise InvalidResponse("it is compressed, which was not asked for")
    if response.status == 200 and response.media_type == "text/event-stream":
        async for data, body in stream_messages(response, position):
            if (message := _message_for(data, body, request.id)) is not None:
                yield message
            else:
                response.discard_connection = True
                logger.warning("The remote answers another request than the one this stream is for; left out")
        return
    content = await response.read()
    content_body = _parse(content) if response.media_type == "application/json" else None
    if response.status >= 300:
        if content_body is None or not _forwards_error(response.status, content_body, request.id):
            raise http_error(remote, request.method, response.status, response.headers, content)
        # A remote may repeat what it was sent, the key included.
        yield _with_id(_redacted(content_body, remote.redact), request.id)
    elif content_body is None:
        raise not_mcp(remote, response.media_type, content)
    elif (message := _message_for(content, content_body, request.id)) is not None:
        yield message
    else:
        raise InvalidResponse("what came is the answer to another request")


async def stream_messages(
    response: HttpResponse, position: StreamPosition
) -> AsyncIterator[tuple[bytes, dict[str, Any]]]:
    """The messages of an event stream, as bytes and parsed. Updates `position` as it reads."""
    events = EventStream(response.pieces, response.on_keep_alive)
    async for data in events:
        position.last_id, position.retry = events.last_id, events.retry
        if (body := _parse(data)) is not None:
            yield data, body
        else:
            logger.warning("an event of the remote is no JSON-RPC message (%d bytes); dropped", len(data))
    position.last_id, position.retry = events.last_id, events.retry


def one_line(content: bytes) -> bytes:
    """JSON on one line. A newline can only stand between two tokens, so a blank can replace it."""
    if b"\n" in content or b"\r" in content:
        content = content.replace(b"\n", b" ").replace(b"\r", b" ")
    return content.strip()


def _forwards_error(status: int, body: dict[str, Any], request_id: JsonRpcId | None) -> bool:
    """Whether the client gets the JSON-RPC error of an HTTP error response, instead of a text of the bridge."""
    ours = body.get("id") in _UNKNOWN_IDS or _same_id(body.get("id"), request_id)
    return ours and _is_error(body) and status not in _OWN_ADVICE


def _message_for(content: bytes, body: dict[str, Any], request_id: JsonRpcId | None) -> RemoteMessage | None:
    """The message for the client; None if it answers a different request."""
    if "method" in body:
        return RemoteMessage(one_line(content), body, final=False)
    if _is_error(body) and body.get("id") in _UNKNOWN_IDS:
        return _with_id(body, request_id)
    return RemoteMessage(one_line(content), body, final=True) if _same_id(body.get("id"), request_id) else None


def _same_id(found: Any, request_id: JsonRpcId | None) -> bool:
    """Whether a response has the id of the request. 1.0 counts as 1; `true` does not, although equal in Python."""
    return usable_id(found) is not None and bool(found == request_id)


def _with_id(body: dict[str, Any], request_id: JsonRpcId | None) -> RemoteMessage:
    """An error without the id of its request, completed with that id."""
    completed = {**body, "jsonrpc": "2.0", "id": request_id}
    return RemoteMessage(json.dumps(completed).encode(), completed, final=True)


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """`value` with its strings redacted. JSON text would hide a secret that has quotes, since it escapes them."""
    if isinstance(value, dict):
        return {name: _redacted(member, redact) for name, member in value.items()}
    if isinstance(value, list):
        return [_redacted(member, redact) for member in value]
    return redact(value) if isinstance(value, str) else value


def _is_error(body: dict[str, Any]) -> bool:
    error = body.get("error")
    return isinstance(error, dict) and isinstance(error.get("code"), int) and isinstance(error.get("message"), str)


def _parse(content: bytes) -> dict[str, Any] | None:
    """The JSON-RPC message in `content`; None if there is none."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and not body.keys().isdisjoint(_BODY_KEYS) else None
