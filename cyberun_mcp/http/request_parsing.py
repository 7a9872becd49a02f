"""The checks of one POST, before it is carried out: its headers, its JSON-RPC message, and who sends it."""

import json
from collections.abc import Mapping
from typing import Any

from mcp import MCPError
from mcp_types import (
    DEFAULT_NEGOTIATED_VERSION,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    JSONRPCNotification,
    JSONRPCRequest,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import ValidationError
from starlette.requests import Request

from cyberun_mcp.http.middleware.rejection import Rejection
from cyberun_mcp.sdk_engine import (
    MCP_PROTOCOL_VERSION_HEADER,
    Connection,
    InboundLadderRejection,
    check_accept_headers,
    classify_inbound_request,
    find_duplicated_routing_header,
    progress_token_from_params,
    unsupported_protocol_version_rejection,
)

# A body of 4 MiB that is nothing but small lists took a second to read and 130 MiB to keep, and one with 400,000
# `inputResponses` took the SDK 5 s to check, while no other caller was answered. Nothing known comes near these.
MOST_BRACKETS = 100_000  # objects and lists in a body, those in the text of strings included
MOST_VALUES = 1_000  # values in a message without the arguments of its call
LONGEST_ID = 256  # characters of the two values that are repeated to the client: its request ID and progress token

_NOT_ACCEPTABLE = Rejection("accept", 406, "Accept must allow both application/json and text/event-stream.")
# Any web page can make a browser send other types. For JSON the browser asks us first (CORS preflight).
_UNSUPPORTED_TYPE = Rejection("content-type", 415, "Content-Type must be application/json.")


def reject_headers(request: Request) -> Rejection | None:
    """Why the Accept or Content-Type header is rejected, whatever the body says; None if they are fine."""
    if not all(check_accept_headers(request)):
        return _NOT_ACCEPTABLE
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return None if media_type == "application/json" else _UNSUPPORTED_TYPE


def parse_message(body: bytes) -> JSONRPCRequest | JSONRPCNotification:
    """The one message in a body. Raises MCPError if there is none, or a batch of several."""
    if body.count(b"[") + body.count(b"{") > MOST_BRACKETS:
        raise MCPError(INVALID_REQUEST, f"Invalid request: more than {MOST_BRACKETS:,} objects and lists")
    try:
        message = json.loads(body)
        _check_size(message)
        if isinstance(message, dict) and "id" not in message:
            return JSONRPCNotification.model_validate(message)
        request = JSONRPCRequest.model_validate(message)
    except ValidationError:
        raise MCPError(INVALID_REQUEST, "The body must be one JSON-RPC request or notification") from None
    except (ValueError, RecursionError):
        raise MCPError(PARSE_ERROR, "Parse error") from None
    if len(str(request.id)) > LONGEST_ID:
        raise MCPError(INVALID_REQUEST, f"The id has more than {LONGEST_ID} characters")
    if len(str(progress_token_from_params(request.params) or "")) > LONGEST_ID:
        raise MCPError(INVALID_PARAMS, f"The progressToken has more than {LONGEST_ID} characters")
    return request


def _check_size(message: Any) -> None:
    """Raise MCPError where a message holds more values, outside its arguments, than any client sends."""
    params = message.get("params") if isinstance(message, dict) else None
    if isinstance(params, dict) and "arguments" in params:
        message = {**message, "params": {**params, "arguments": None}}
    unvisited, count = [message], 0
    while unvisited:
        value = unvisited.pop()
        if isinstance(value, dict | list):
            count += len(value)
            if count > MOST_VALUES:
                text = "Invalid request: the message holds too many values outside its arguments"
                raise MCPError(INVALID_REQUEST, text)
            unvisited += value.values() if isinstance(value, dict) else value


def connection_for(message: JSONRPCRequest, request: Request) -> Connection:
    """The client and its protocol version, from this one request. Raises MCPError if headers and body disagree.

    None of our tools' arguments is mirrored in a header (`x-mcp-header`), so none is compared.
    """
    version = _protocol_version(request.headers)
    if version in HANDSHAKE_PROTOCOL_VERSIONS:
        return Connection.from_envelope(version, None, None)
    if name := find_duplicated_routing_header(request.headers.items()):
        raise MCPError(HEADER_MISMATCH, f"{name} header appears more than once")
    route = classify_inbound_request({"method": message.method, "params": message.params}, headers=request.headers)
    if isinstance(route, InboundLadderRejection):
        raise MCPError(route.code, route.message, route.data)
    return Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities)


def check_notification_version(headers: Mapping[str, str]) -> None:
    """Raise MCPError if a notification has a protocol version that this server does not support."""
    version = _protocol_version(headers)
    rejection = None if version in HANDSHAKE_PROTOCOL_VERSIONS else unsupported_protocol_version_rejection(version)
    if rejection is not None:
        raise MCPError(rejection.code, rejection.message, rejection.data)


def _protocol_version(headers: Mapping[str, str]) -> str:
    """The version in the request's headers; clients of 2025-03-26 do not send one."""
    return headers.get(MCP_PROTOCOL_VERSION_HEADER, DEFAULT_NEGOTIATED_VERSION)
