"""The JSON-RPC messages in the remote's answer to one request, each as a line for the client.

Nothing that answers another request is passed on: the client would take it for an answer to that one, which may have
been given already, or come later.
"""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from cyberun_mcp.bridge.connections import Answer
from cyberun_mcp.bridge.endpoint import Endpoint
from cyberun_mcp.bridge.events import EventStream
from cyberun_mcp.bridge.incoming import NotHttp
from cyberun_mcp.bridge.messages import Id, Message, usable_id
from cyberun_mcp.bridge.trouble import no_mcp, refused

_OURS_TO_WORD = (401, 403, 408, 429)  # what to do about these is known here, and not to the remote
_ESSENTIAL = ("method", "result", "error")  # one of which every JSON-RPC message has
_UNATTRIBUTED = (None, "server-error")  # what remotes put for the id of a request they could not read
logger = logging.getLogger(__name__)


class Position:
    """How far a stream of events was read, for the remotes that let it be resumed."""

    def __init__(self) -> None:
        self.last_id = ""
        self.retry: float | None = None


class Reply(NamedTuple):
    """A message of the remote. `final`: the response to the request; others are what it says meanwhile."""

    line: bytes
    body: dict[str, Any]
    final: bool


async def replies(endpoint: Endpoint, answer: Answer, request: Message, position: Position) -> AsyncIterator[Reply]:
    """Everything the remote says to `request`. Raises Trouble where it says it in another language than JSON-RPC."""
    if answer.headers.get("content-encoding", "identity").lower() != "identity" and answer.status < 300:
        raise NotHttp("it is compressed, which was not asked for")
    if answer.status == 200 and answer.media_type == "text/event-stream":
        async for data, said in messages(answer, position):
            if (reply := _reply(data, said, request.id)) is not None:
                yield reply
            else:
                answer.doubtful = True
                logger.warning("The remote answers another request than the one this stream is for; left out")
        return
    content = await answer.read()
    body = _message(content) if answer.media_type == "application/json" else None
    if answer.status >= 300:
        known = body is not None and (body.get("id") in _UNATTRIBUTED or _same(body.get("id"), request.id))
        if body is None or not known or not _is_error(body) or answer.status in _OURS_TO_WORD:
            raise refused(endpoint, request.method, answer.status, answer.headers, content)
        yield _readdressed(body, request.id)
    elif body is None:
        raise no_mcp(endpoint, answer.media_type, content)
    elif (reply := _reply(content, body, request.id)) is not None:
        yield reply
    else:
        raise NotHttp("what came is the answer to another request")


async def messages(answer: Answer, position: Position) -> AsyncIterator[tuple[bytes, dict[str, Any]]]:
    """The messages of a stream of events."""
    events = EventStream(answer.pieces, answer.silence_broken)
    async for data in events:
        position.last_id, position.retry = events.last_id, events.retry
        if (body := _message(data)) is not None:
            yield data, body
        else:
            logger.warning("an event of the remote is no JSON-RPC message (%d bytes); dropped", len(data))
    position.last_id, position.retry = events.last_id, events.retry


def one_line(content: bytes) -> bytes:
    """JSON on one line: a newline in it can only stand between its parts, where a blank serves as well."""
    if b"\n" in content or b"\r" in content:
        content = content.replace(b"\n", b" ").replace(b"\r", b" ")
    return content.strip()


def _reply(content: bytes, body: dict[str, Any], request_id: Id | None) -> Reply | None:
    """The message for the client; None if it answers another request."""
    if "method" in body:
        return Reply(one_line(content), body, final=False)
    if _is_error(body) and body.get("id") in _UNATTRIBUTED:
        return _readdressed(body, request_id)
    return Reply(one_line(content), body, final=True) if _same(body.get("id"), request_id) else None


def _same(found: Any, request_id: Id | None) -> bool:
    """Whether a response carries the id of the request. 1 may come back as 1.0, but true, which equals it, is no id."""
    return usable_id(found) is not None and bool(found == request_id)


def _readdressed(body: dict[str, Any], request_id: Id | None) -> Reply:
    """An error the remote could not attribute, addressed to the request it answers."""
    addressed = {**body, "jsonrpc": "2.0", "id": request_id}
    return Reply(json.dumps(addressed).encode(), addressed, final=True)


def _is_error(body: dict[str, Any]) -> bool:
    error = body.get("error")
    return isinstance(error, dict) and isinstance(error.get("code"), int) and isinstance(error.get("message"), str)


def _message(content: bytes) -> dict[str, Any] | None:
    """The JSON-RPC message in `content`, None if there is none."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and not body.keys().isdisjoint(_ESSENTIAL) else None
