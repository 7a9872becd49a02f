"""From an HTTP response to parsed JSON, or to the error that says what came instead."""

import json
import math
import re
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from cyberun_mcp.errors import AnswerTooLarge, ApiError, CyberunError, UnexpectedAnswer, shortened

LARGEST_JSON = 8 * 2**20  # bytes; a page of 100 workflows is about 0.2 MB, so more is a mistake or an attack
COUNTED = 4  # a body that does not announce its size is counted, not kept, up to so many times the limit
LONGEST_QUOTE = 500  # characters of a foreign page shown to the model
LONGEST_PAGE = 64 * 1024  # bytes of a foreign page searched for those
LONGEST_MESSAGE = 4_000  # characters of the platform's own message

# Both look at each character once: strangers wrote what they read (60 kB of one character took a minute before).
_HIDDEN = re.compile(r"(?is)<(script|style)\b.*?(</\1\s*>|\Z)")
_TAG = re.compile(r"<[^<>]*>")
_SPELT_SURROGATE = re.compile(rb"(?i)\\ud[89a-f]")

JsonObject = dict[str, Any]


async def read_bounded(response: httpx2.Response, limit: int = LARGEST_JSON) -> bytes:
    """The whole body. Raises AnswerTooLarge, with the size where it can be had, when it exceeds `limit` bytes."""
    announced = _announced_size(response)
    if announced is not None and announced > limit:
        raise AnswerTooLarge(response.status_code, announced, limit)
    body, size = bytearray(), 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size <= limit:
            body += chunk
        elif size > COUNTED * limit:
            raise AnswerTooLarge(response.status_code, None, limit)
    if size > limit:
        raise AnswerTooLarge(response.status_code, size, limit)
    return bytes(body)


def _announced_size(response: httpx2.Response) -> int | None:
    """Bytes on the wire, which where they are compressed are fewer than in the body."""
    announced = response.headers.get("content-length", "")
    return int(announced) if announced.isascii() and announced.isdigit() else None


def parse_object(status: int, content_type: str, body: bytes, carries: Collection[str] = ()) -> JsonObject:
    """The JSON object of a successful answer. Raises UnexpectedAnswer naming what came instead.

    Raises ApiError where the object is an error after all: it has an `error_message`, and nothing in any of the fields
    that a success `carries`. A task that exists is more than a message that came along with it.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise UnexpectedAnswer(status, f"not a JSON object but {_describe(content_type, body)}")
    if _has_error_message(value) and not any(value.get(name) for name in carries):
        raise ApiError(status, _error_words(value))
    return value


def error_from(response: httpx2.Response, body: bytes) -> CyberunError:
    """The error an unsuccessful answer stands for; its message is the platform's own wherever there is one."""
    status = response.status_code
    if response.is_redirect:
        return UnexpectedAnswer(status, "a redirect, not followed because it would carry your key elsewhere")
    value = parse_json(body)
    retry_after = parse_retry_after(response.headers.get("retry-after"), response.headers.get("date"))
    if isinstance(value, dict):
        return ApiError(status, _error_words(value), retry_after)
    error = UnexpectedAnswer(
        status, f"not the platform but {_describe(response.headers.get('content-type', ''), body)}"
    )
    error.retry_after = retry_after
    return error


def _has_error_message(value: JsonObject) -> bool:
    message = value.get("error_message")
    return bool(message.strip() if isinstance(message, str) else message)


def _error_words(value: JsonObject) -> str:
    """The message of an error body, or the body itself where it has none."""
    message = value.get("error_message")
    if isinstance(message, str):
        return shortened(message, LONGEST_MESSAGE)
    return shortened(json.dumps(value), LONGEST_QUOTE)


def parse_retry_after(value: str | None, date: str | None = None) -> float | None:
    """Seconds a `Retry-After` header asks for, given as a number or as an HTTP date (RFC 9110 §10.2.3).

    `date` is the answer's own `Date`. An HTTP date is measured against it, because this machine's clock may be wrong.
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
    """The moment that a header such as `Date` names, or None where it names none."""
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_json(body: bytes | str) -> Any:
    """Parsed JSON that can be written again, or None where there is none.

    What JSON can spell but neither JSON nor UTF-8 can carry on is replaced here, at the only door: NaN and infinity by
    null, lone surrogates by question marks. One of those in an answer to the client would end the whole connection.
    """
    try:
        value = _DECODER.decode(body if isinstance(body, str) else body.decode(json.detect_encoding(body)))
        if _SPELT_SURROGATE.search(body if isinstance(body, bytes) else body.encode("utf-8", "replace")):
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value


def _finite(spelt: str) -> float | None:
    number = float(spelt)
    return number if math.isfinite(number) else None


_DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_finite)


def _describe(content_type: str, body: bytes) -> str:
    kind = content_type.partition(";")[0].strip() or "an untyped body"
    return f"{kind}: {_visible_words(body[:LONGEST_PAGE].decode('utf-8', 'replace')) or '(empty)'}"


def _visible_words(page: str) -> str:
    return shortened(" ".join(_TAG.sub(" ", _HIDDEN.sub(" ", page)).split()), LONGEST_QUOTE)
