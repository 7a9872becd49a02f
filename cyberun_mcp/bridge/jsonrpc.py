"""The client's lines as JSON-RPC messages, and the JSON-RPC errors that the bridge answers with.

A message keeps its original bytes, and the remote gets exactly those. The parsed form is only used for routing.
"""

import json
from typing import Any, NamedTuple

from cyberun_mcp.bridge.errors import InvalidMessage

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INTERNAL_ERROR = -32603

# Methods that are safe to send twice. Any other method may have had its effect even if its response is lost.
REPEATABLE_METHODS = frozenset(
    {
        "completion/complete",
        "initialize",
        "logging/setLevel",
        "notifications/cancelled",
        "notifications/initialized",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
        "server/discover",
        "subscriptions/listen",
        "tools/list",
    }
)

JsonRpcId = int | float | str
_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"  # a message with this key in `_meta` is one of the 2026 era


class Message(NamedTuple):
    """One JSON-RPC message from the client: a request, a notification, or a response to a request of the remote."""

    line: bytes
    method: str  # empty for a response
    id: JsonRpcId | None  # None for a notification
    params: dict[str, Any]

    @property
    def is_request(self) -> bool:
        """Whether the client expects a response to this message."""
        return bool(self.method) and self.id is not None

    @property
    def envelope_version(self) -> str | None:
        """The protocol version inside a message of the 2026 era; None for the earlier eras."""
        meta = self.params.get("_meta")
        version = meta.get(_VERSION_KEY) if isinstance(meta, dict) else None
        return version if isinstance(version, str) else None


def parse_message(line: bytes) -> Message:
    """The message on a line. Raises InvalidMessage, which holds the error to answer with."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(PARSE_ERROR, f"Parse error: this line is not JSON ({_json_problem(error)})") from error
    if isinstance(body, list):
        ids = [usable_id(item.get("id")) for item in body if isinstance(item, dict) and "id" in item]
        text = "Invalid request: batches are not supported, send one message a line"
        raise InvalidMessage(INVALID_REQUEST, text, ids)
    if not isinstance(body, dict):
        raise InvalidMessage(INVALID_REQUEST, "Invalid request: a message is a JSON object")
    return _checked_message(line, body)


def usable_id(value: Any) -> JsonRpcId | None:
    """`value` if it is a valid JSON-RPC id, else None. Booleans are excluded, because Python counts them as numbers."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def error_line(request_id: JsonRpcId | None, code: int, text: str) -> bytes:
    """A JSON-RPC error response as a line for the client."""
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}}).encode()


def _checked_message(line: bytes, body: dict[str, Any]) -> Message:
    method, request_id, params = body.get("method"), usable_id(body.get("id")), body.get("params")
    if body.get("jsonrpc") != "2.0":
        raise InvalidMessage(INVALID_REQUEST, 'Invalid request: "jsonrpc" must be "2.0"', [request_id])
    if "id" in body and request_id is None and "error" not in body:
        raise InvalidMessage(INVALID_REQUEST, 'Invalid request: "id" must be a string or a number')
    if method is None and ("result" in body or "error" in body):
        return Message(line, "", request_id, {})
    if not isinstance(method, str) or not method:
        raise InvalidMessage(INVALID_REQUEST, 'Invalid request: "method" must be a string', [request_id])
    return Message(line, method, request_id, params if isinstance(params, dict) else {})


def _json_problem(error: Exception) -> str:
    """What is wrong with the JSON. The line itself is not quoted, because it may contain secrets."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else "too deep or too large"
