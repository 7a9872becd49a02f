"""The head of an HTTP/1.1 answer: its status, its headers, and where its body ends.

Where a body ends must not be a matter of opinion: a reader that is more generous than the proxies in front of the
remote may take the rest of one answer for the next. So whatever the grammar of RFC 9112 does not allow is no answer.
What it allows, but calls suspicious, is read, and the connection not used again.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cyberun_mcp.bridge.incoming import NotHttp

LONGEST_HEAD = 64 * 1024  # bytes; the usual servers write, and the usual proxies pass, a quarter of that

# Compiled where they are used: at import each would cost the start 0.2 ms.
_STATUS_LINE = rb"HTTP/1\.(\d) ([1-9]\d\d)(?: [^\x00\r]*)?"
_FIELD = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00\r]*)"
_LENGTH = r"[0-9]{1,18}"


class Head(NamedTuple):
    """Status line and headers of an answer; header names in lower case.

    `length` is the size of the body; None if it comes in chunks, or goes on to the end of the connection.
    """

    status: int
    headers: Mapping[str, str]
    length: int | None
    chunked: bool
    keep_alive: bool

    @property
    def media_type(self) -> str:
        """`application/json`, without parameters; empty when the answer does not say."""
        return re.split("[;,]", self.headers.get("content-type", ""), maxsplit=1)[0].strip().lower()


def parse_head(lines: Sequence[bytes]) -> Head:
    """The head on these lines. Raises NotHttp."""
    status_line = re.fullmatch(_STATUS_LINE, lines[0]) if lines else None
    if status_line is None:
        raise NotHttp("not an HTTP answer")
    status = int(status_line[2])
    headers = _headers(lines[1:])
    length, chunked = _framing(status, headers)
    options = {each.strip().lower() for each in headers.get("connection", "").split(",")}
    suspicious = chunked and "content-length" in headers
    keep_alive = status_line[1] != b"0" and "close" not in options and not suspicious
    return Head(status, headers, length, chunked, keep_alive)


def _headers(lines: Sequence[bytes]) -> Mapping[str, str]:
    """The fields by name; those that were sent several times are one list, as RFC 9110 has it."""
    headers: dict[str, str] = {}
    for line in lines:
        field = re.fullmatch(_FIELD, line)
        if field is None:
            raise NotHttp("it has a header that is none")
        name, value = field[1].decode("ascii").lower(), field[2].strip(b" \t").decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _framing(status: int, headers: Mapping[str, str]) -> tuple[int | None, bool]:
    """The length of the body, and whether it comes in chunks."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if status < 200 or status in (204, 304):
        return 0, False
    if coding is not None:
        if coding.lower() != "chunked":
            raise NotHttp("its transfer coding was not asked for")
        return None, True
    if length is None:
        return None, False
    lengths = {each.strip(" \t") for each in length.split(",")}
    if len(lengths) > 1 or not re.fullmatch(_LENGTH, only := lengths.pop()):
        raise NotHttp("its Content-Length is no number, or several")
    return int(only), False
