"""From an HTTP response to parsed JSON, or to the error that says what was received instead."""

import json
import math
import re
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from cyberun_mcp.errors import ApiError, CyberunError, ResponseTooLarge, UnexpectedResponse, shortened

LARGEST_JSON = 8 * 2**20  # bytes; a page of 100 workflows is about 0.2 MB, so more is a mistake or an attack
COUNTED_UP_TO = 4  # times the limit: a body without Content-Length is counted that far, but not stored
LONGEST_QUOTE = 500  # characters of an unexpected page shown to the model
LONGEST_PAGE = 64 * 1024  # bytes of an unexpected page that are searched for text
LONGEST_MESSAGE = 4_000  # characters of the platform's own message

# Both patterns look at each character once, because anyone may have written the page. An earlier version took a minute
# for 60 kB of one character.
_HIDDEN = re.compile(r"(?is)<(script|style)\b.*?(</\1\s*>|\Z)")
_TAG = re.compile(r"<[^<>]*>")
_ESCAPED_SURROGATE = re.compile(rb"(?i)\\ud[89a-f]")

JsonObject = dict[str, Any]


async def read_bounded(response: httpx2.Response, limit: int = LARGEST_JSON) -> bytes:
    """The whole body. Raises ResponseTooLarge, with the size if it is known, when it exceeds `limit` bytes."""
    content_length = _content_length(response)
    if content_length is not None and content_length > limit:
        raise ResponseTooLarge(response.status_code, content_length, limit)
    body, size = bytearray(), 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size <= limit:
            body += chunk
        elif size > COUNTED_UP_TO * limit:
            raise ResponseTooLarge(response.status_code, None, limit)
    if size > limit:
        raise ResponseTooLarge(response.status_code, size, limit)
    return bytes(body)


def _content_length(response: httpx2.Response) -> int | None:
    """Bytes on the wire; a compressed body has more after decoding."""
    value = response.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() else None


def parse_object(status: int, content_type: str, body: bytes, success_fields: Collection[str] = ()) -> JsonObject:
    """The JSON object of a successful response. Raises UnexpectedResponse that names what was received instead.

    Raises ApiError when the object is an error under a success status: it has an `error_message`, and all of
    `success_fields` are empty. If one of them has a value, the request did succeed, and the message is only a remark.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise UnexpectedResponse(status, f"not a JSON object but {_describe(content_type, body)}")
    if _has_error_message(value) and not any(value.get(name) for name in success_fields):
        raise ApiError(status, _error_text(value))
    return value


def error_from(response: httpx2.Response, body: bytes) -> CyberunError:
    """The error for an unsuccessful response; its message is the platform's own when there is one."""
    status = response.status_code
    if response.is_redirect:
        return UnexpectedResponse(status, "a redirect, not followed because it would carry your key elsewhere")
    value = parse_json(body)
    retry_after = parse_retry_after(response.headers.get("retry-after"), response.headers.get("date"))
    if isinstance(value, dict):
        return ApiError(status, _error_text(value), retry_after)
    found = _describe(response.headers.get("content-type", ""), body)
    return UnexpectedResponse(status, f"not the platform but {found}", retry_after)


def _has_error_message(value: JsonObject) -> bool:
    message = value.get("error_message")
    return bool(message.strip() if isinstance(message, str) else message)


def _error_text(value: JsonObject) -> str:
    """The message of an error body, or the body itself if it has none."""
    message = value.get("error_message")
    if isinstance(message, str):
        return shortened(message, LONGEST_MESSAGE)
    return shortened(json.dumps(value), LONGEST_QUOTE)


def parse_retry_after(value: str | None, date: str | None = None) -> float | None:
    """The seconds of a `Retry-After` header, which holds a number or an HTTP date (RFC 9110 §10.2.3).

    `date` is the response's own `Date`. An HTTP date is compared with it, because this machine's clock may be wrong.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until = parse_http_date(value)
        if until is None:
            return None
        seconds = (until - (parse_http_date(date) or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def parse_http_date(value: str | None) -> datetime | None:
    """The time in a header such as `Date`, or None if it holds none."""
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_json(body: bytes | str) -> Any:
    """Parsed JSON that can be serialized again, or None if the body is not JSON.

    NaN and infinity become null, lone surrogates become question marks: Python parses them, but a result that contains
    one cannot be sent as JSON or UTF-8 and would end the client's connection. All JSON of the platform is parsed here.
    """
    try:
        value = _DECODER.decode(body if isinstance(body, str) else body.decode(json.detect_encoding(body)))
        if _ESCAPED_SURROGATE.search(body if isinstance(body, bytes) else body.encode("utf-8", "replace")):
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value


def _finite_or_none(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


_DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_finite_or_none)


def _describe(content_type: str, body: bytes) -> str:
    kind = content_type.partition(";")[0].strip() or "an untyped body"
    return f"{kind}: {_visible_text(body[:LONGEST_PAGE].decode('utf-8', 'replace')) or '(empty)'}"


def _visible_text(page: str) -> str:
    return shortened(" ".join(_TAG.sub(" ", _HIDDEN.sub(" ", page)).split()), LONGEST_QUOTE)
