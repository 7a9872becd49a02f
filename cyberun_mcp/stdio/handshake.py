"""Answers the messages of a handshake from prepared answers, where it is certain what the SDK would answer."""

import json
from collections.abc import Mapping
from typing import Any

from cyberun_mcp.pipes.claim import InitializeState, StdioPipes
from cyberun_mcp.stdio.snapshot import Answers

# The shapes of messages that are certain: a type, a value, a tuple of alternatives, or the members of an object, where
# `?` marks those that may be absent and `*` stands for any other. The SDK accepts more than these, and gets the rest.
_OBJECTS = {"*": dict}
_CAPABILITIES = {
    "roots?": {"listChanged?": bool},
    "sampling?": _OBJECTS,
    "elicitation?": _OBJECTS,
    "experimental?": _OBJECTS,
    "extensions?": _OBJECTS,
    "tasks?": {"list?": dict, "cancel?": dict, "requests?": {"sampling?": _OBJECTS, "elicitation?": _OBJECTS}},
}
_CLIENT = {"name": str, "version": str, "title?": str, "description?": str, "websiteUrl?": str}
_INITIALIZE = {"protocolVersion": str, "capabilities": _CAPABILITIES, "clientInfo": _CLIENT}
_REQUEST = {"jsonrpc": "2.0", "id": (int, str), "method": str, "params?": dict}
_MODERN = "2026-07-28"
_ENVELOPE = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": _MODERN,
        "io.modelcontextprotocol/clientInfo": _CLIENT,
        "io.modelcontextprotocol/clientCapabilities": _CAPABILITIES,
    }
}


def answer_to(line: bytes, pipes: StdioPipes, answers: Answers) -> bytes | None:
    """What the SDK would answer to a line: empty for a notification, and None where that is not certain.

    Notes in `pipes.initialize` how far the handshake has come.
    """
    message = _parse(line)
    if message == {"jsonrpc": "2.0", "method": "notifications/initialized"} and pipes.initialize:
        pipes.initialize.confirmed = True
        return b""
    if not _fits(message, _REQUEST) or not (number := str(message["id"])).isascii() or not number.isprintable():
        return None
    method, params = message["method"], message.get("params", {})
    revision = _revision(method, params, pipes.initialize)
    results = answers.get(method, {}).items()
    result = next((result for revisions, result in results if revision in revisions.split()), None)
    if result is None:
        return None
    if method == "initialize":
        pipes.initialize = InitializeState(params)
    return b'{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (_encode(message["id"]), _encode(result))


def _revision(method: str, params: Mapping[str, Any], initialize: InitializeState | None) -> str:
    """The revision of the protocol to answer a request in; empty where it is not certain."""
    if method == "initialize":
        return params["protocolVersion"] if initialize is None and _fits(params, _INITIALIZE) else ""
    if initialize and not params:
        return initialize.version
    return _MODERN if _fits(params, _ENVELOPE) else ""


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, tuple):
        return any(_fits(value, alternative) for alternative in shape)
    if isinstance(shape, type):
        return type(value) is shape
    if not isinstance(shape, dict):
        return bool(value == shape)
    return (
        isinstance(value, dict)
        and all(name in value for name in shape if name[-1] not in "?*")
        and all(_fits(item, shape.get(name, shape.get(name + "?", shape.get("*", ())))) for name, item in value.items())
    )


def _parse(line: bytes) -> Any:
    """The JSON value of a line; None where the SDK's parser and Python's might disagree."""
    try:
        return None if b"\\u" in line else json.loads(line.decode())
    except (ValueError, RecursionError):
        return None


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
