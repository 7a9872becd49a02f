"""The client's lines as JSON-RPC: what each of them is, and the errors the bridge answers by itself.

A message keeps the bytes it came as, which are what the remote gets; its parsed form only serves to route it.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INTERNAL_ERROR = -32603

Id = int | float | str
_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"  # its presence in `_meta` makes a message one of the 2026 era


class Malformed(Exception):
    """A line that is no message. `ids` are those to answer to: the line's own, or None where it has no usable one."""

    def __init__(self, code: int, text: str, ids: Sequence[Id | None] = (None,)) -> None:
        super().__init__(text)
        self.code = code
        self.ids = ids


class Message(NamedTuple):
    """One JSON-RPC message of the client: a request, a notification, or the answer to a request of the remote."""

    line: bytes
    method: str  # empty: an answer
    id: Id | None  # None: a notification
    params: dict[str, Any]

    @property
    def is_request(self) -> bool:
        """Whether the client waits for a reply to this."""
        return bool(self.method) and self.id is not None

    @property
    def envelope_version(self) -> str | None:
        """The protocol version a message of the 2026 era carries in itself; None in the eras before."""
        meta = self.params.get("_meta")
        version = meta.get(_VERSION_KEY) if isinstance(meta, dict) else None
        return version if isinstance(version, str) else None


def parse(line: bytes) -> Message:
    """The message on a line. Raises Malformed, with what to answer."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Malformed(PARSE_ERROR, f"Parse error: this line is not JSON ({_brief(error)})") from error
    if isinstance(body, list):
        ids = [usable_id(each.get("id")) for each in body if isinstance(each, dict) and "id" in each]
        raise Malformed(INVALID_REQUEST, "Invalid request: batches are not supported, send one message a line", ids)
    if not isinstance(body, dict):
        raise Malformed(INVALID_REQUEST, "Invalid request: a message is a JSON object")
    return _message(line, body)


def usable_id(value: Any) -> Id | None:
    """`value` if JSON-RPC allows it to name a request, else None. In Python `true` would be the number 1."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def error_line(request_id: Id | None, code: int, text: str) -> bytes:
    """A JSON-RPC error, ready for the client."""
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}}).encode()


def _message(line: bytes, body: dict[str, Any]) -> Message:
    method, request_id, params = body.get("method"), usable_id(body.get("id")), body.get("params")
    if body.get("jsonrpc") != "2.0":
        raise Malformed(INVALID_REQUEST, 'Invalid request: "jsonrpc" must be "2.0"', [request_id])
    if "id" in body and request_id is None and "error" not in body:
        raise Malformed(INVALID_REQUEST, 'Invalid request: "id" must be a string or a number')
    if method is None and ("result" in body or "error" in body):
        return Message(line, "", request_id, {})
    if not isinstance(method, str) or not method:
        raise Malformed(INVALID_REQUEST, 'Invalid request: "method" must be a string', [request_id])
    return Message(line, method, request_id, params if isinstance(params, dict) else {})


def _brief(error: Exception) -> str:
    """Where the JSON ends to be JSON, without quoting the line: it may hold anything."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else "too deep or too large"
