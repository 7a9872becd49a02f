"""One HTTP request to a container: what may be sent, and how much of the answer comes back."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from cyberun_mcp.api.answers import JsonObject
from cyberun_mcp.errors import AnswerTooLarge
from cyberun_mcp.tools.results import compact

# Decoded bytes. As base64, with the JSON around it, this stays below the 1 MiB that SDK clients accept as one event.
LARGEST_BODY = 700_000
LARGEST_ENVELOPE = 32_000  # bytes of JSON beside the body, headers mostly; they stand in the text block once more
LONGEST_PATH = 8_000  # characters; HTTP servers take about as many, and decoding megabytes of them takes a while
LONGEST_TEXT = 16_000  # bytes of UTF-8 a model is also given as plain text, to read without decoding

# The union of the two lists the platform documents, and what belongs to a connection by RFC 9110 §7.6.1.
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
    """A path on the container, perhaps with a query. Raises ValueError for anything that could lead elsewhere."""
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
    """The path as a lenient server may read it: decoded twice, backslashes as slashes."""
    return unquote(unquote(path.partition("?")[0])).replace("\\", "/")


def checked_base64(body: str) -> str:
    """A base64 body; the empty string is an empty body. Raises ValueError."""
    try:
        base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected standard base64 of the request body") from None
    return body


def checked_headers(headers: dict[str, str]) -> dict[str, str]:
    """Headers to forward, without those the gateway would strip. Raises ValueError naming a malformed one."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} has characters a header cannot carry")
    return {name: value for name, value in headers.items() if name.lower() not in STRIPPED_HEADERS}


def readable(answer: JsonObject, fetch_it_with: str, *, text_only: bool) -> JsonObject:
    """A container's answer, with its body as text too where it is short text.

    Raises AnswerTooLarge, telling the size and the request that fetches the body, when it is too large to pass on.
    """
    headers = answer.get("headers")
    answer = {**answer, "headers": headers if isinstance(headers, dict) else {}}
    body = _decoded(answer)
    if body is not None and len(body) > LARGEST_BODY:
        raise too_large(len(body), fetch_it_with)
    around = compact(answer if body is None else {**answer, "body_base64": ""})
    if len(around.encode("utf-8", "replace")) > LARGEST_ENVELOPE:
        raise too_large(len(around), fetch_it_with, limit=LARGEST_ENVELOPE)
    if body is None or len(body) > LONGEST_TEXT:
        return answer
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return answer
    kept = {key: value for key, value in answer.items() if key != "body_base64"} if text_only else answer
    return {**kept, "body_text": text}


def without_large_body(answer: JsonObject) -> JsonObject | None:
    """What the text block says of an answer too large to be said twice in one event; None when it is not."""
    body = answer.get("body_base64")
    if not isinstance(body, str) or len(body) <= LARGEST_BODY // 2:
        return None
    return {**answer, "body_base64": f"({len(body):,} characters, in structuredContent only)"}


def too_large(size: int | None, fetch_it_with: str, limit: int = LARGEST_BODY) -> AnswerTooLarge:
    """The error for an answer of `size` bytes (None: unknown) that cannot be passed on."""
    error = AnswerTooLarge(200, size, limit)
    error.advice = f"The container did answer. To have it whole, fetch it outside this conversation: {fetch_it_with}"
    return error


def _decoded(answer: Mapping[str, Any]) -> bytes | None:
    try:
        return base64.b64decode(answer.get("body_base64") or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None
