"""One HTTP request to a container: what may be sent, and how much of the response is returned."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from cyberun_mcp.api.responses import JsonObject
from cyberun_mcp.errors import ResponseTooLarge
from cyberun_mcp.tools.results import compact_json

# Decoded bytes. As base64 inside JSON, this stays below the 1 MiB that SDK clients accept as one event.
LARGEST_BODY = 700_000
LARGEST_ENVELOPE = 32_000  # bytes of JSON besides the body, mostly headers; the text block repeats them
LONGEST_PATH = 8_000  # characters; HTTP servers accept about as many, and decoding megabytes is slow
LONGEST_TEXT = 16_000  # bytes of UTF-8 that are also returned as plain text, so that a model need not decode them

# The union of the two lists in the platform's documentation, and the connection headers of RFC 9110 §7.6.1.
STRIPPED_HEADERS = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f-\xa0]")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def checked_path(path: str) -> str:
    """A path on the container, with an optional query. Raises ValueError for a path that could lead elsewhere."""
    if len(path) > LONGEST_PATH:
        raise ValueError(f"expected a path of at most {LONGEST_PATH:,} characters")
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("expected a path that begins with one /, such as /v1/models")
    if _BLANK_OR_CONTROL.search(path) or "\\" in path:
        raise ValueError("blanks, control characters and backslashes must be percent-encoded")
    if any(segment.partition(";")[0] == ".." for segment in _decoded_path(path).split("/")):
        raise ValueError("a path with .. is refused")
    return path


def _decoded_path(path: str) -> str:
    """The path as a lenient server may decode it: twice, with backslashes as slashes."""
    return unquote(unquote(path.partition("?")[0])).replace("\\", "/")


def checked_base64(body: str) -> str:
    """A base64 body, may be empty. Raises ValueError if it is not standard base64."""
    try:
        base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected standard base64 of the request body") from None
    return body


def checked_headers(headers: dict[str, str]) -> dict[str, str]:
    """Headers to forward, without those the gateway strips. Raises ValueError that names a malformed header."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} has characters a header cannot carry")
    return {name: value for name, value in headers.items() if name.lower() not in STRIPPED_HEADERS}


def with_body_text(response: JsonObject, fetch_command: str, *, text_only: bool) -> JsonObject:
    """A container's response, with `body_text` added if the body is short text; it replaces the body if `text_only`.

    Raises ResponseTooLarge with the size and `fetch_command` when the response is too large to pass on.
    """
    headers = response.get("headers")
    response = {**response, "headers": headers if isinstance(headers, dict) else {}}
    body = _decoded_body(response)
    if body is not None and len(body) > LARGEST_BODY:
        raise too_large(len(body), fetch_command)
    envelope = compact_json(response if body is None else {**response, "body_base64": ""})
    if len(envelope.encode("utf-8", "replace")) > LARGEST_ENVELOPE:
        raise too_large(len(envelope), fetch_command, limit=LARGEST_ENVELOPE)
    if body is None or len(body) > LONGEST_TEXT:
        return response
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return response
    kept = {key: value for key, value in response.items() if key != "body_base64"} if text_only else response
    return {**kept, "body_text": text}


def without_large_body(response: JsonObject) -> JsonObject | None:
    """The text block for a response that is too large to be in one event twice; None when it is not too large."""
    body = response.get("body_base64")
    if not isinstance(body, str) or len(body) <= LARGEST_BODY // 2:
        return None
    return {**response, "body_base64": f"({len(body):,} characters, in structuredContent only)"}


def too_large(size: int | None, fetch_command: str, limit: int = LARGEST_BODY) -> ResponseTooLarge:
    """The error for a response of `size` bytes (None: unknown) that cannot be passed on."""
    advice = f"The container did answer. To have it whole, fetch it outside this conversation: {fetch_command}"
    return ResponseTooLarge(200, size, limit, advice=advice)


def _decoded_body(response: Mapping[str, Any]) -> bytes | None:
    try:
        return base64.b64decode(response.get("body_base64") or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None
