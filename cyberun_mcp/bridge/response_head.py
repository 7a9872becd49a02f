"""The head of an HTTP/1.1 response: its status, its headers, and where its body ends.

The end of a body must be unambiguous. A reader that is more lenient than the proxies in front of the remote could take
the rest of one response for the next one (response smuggling). So a head that breaks the grammar of RFC 9112 is
rejected. A head that is allowed but suspicious is read, and its connection is not used again.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cyberun_mcp.bridge.errors import InvalidResponse

MAX_HEAD = 64 * 1024  # bytes; the usual servers write, and the usual proxies pass, a quarter of that

# `re` compiles these at first use: at import each would cost the start 0.2 ms.
_STATUS_LINE = rb"HTTP/1\.(\d) ([1-9]\d\d)(?: [^\x00\r]*)?"
_FIELD = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00\r]*)"
_LENGTH = r"[0-9]{1,18}"


class ResponseHead(NamedTuple):
    """Status line and headers of a response; header names are in lower case.

    `length` is the size of the body in bytes, or None if the body is chunked or ends with the connection. `persistent`
    is False when the connection must not be used again.
    """

    status: int
    headers: Mapping[str, str]
    length: int | None
    chunked: bool
    persistent: bool

    @property
    def media_type(self) -> str:
        """The content type without parameters, such as `application/json`; empty if there is none."""
        return re.split("[;,]", self.headers.get("content-type", ""), maxsplit=1)[0].strip().lower()


def parse_head(lines: Sequence[bytes]) -> ResponseHead:
    """Parse the lines of a head, without their CRLF. Raises InvalidResponse."""
    status_line = re.fullmatch(_STATUS_LINE, lines[0]) if lines else None
    if status_line is None:
        raise InvalidResponse("not an HTTP answer")
    status = int(status_line[2])
    headers = _parse_fields(lines[1:])
    length, chunked = _framing(status, headers)
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    suspicious = chunked and "content-length" in headers
    persistent = status_line[1] != b"0" and "close" not in options and not suspicious
    return ResponseHead(status, headers, length, chunked, persistent)


def _parse_fields(lines: Sequence[bytes]) -> Mapping[str, str]:
    """The fields by name. Repeated fields are joined into one list, as RFC 9110 says."""
    headers: dict[str, str] = {}
    for line in lines:
        field = re.fullmatch(_FIELD, line)
        if field is None:
            raise InvalidResponse("it has a header that is none")
        name, value = field[1].decode("ascii").lower(), field[2].strip(b" \t").decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _framing(status: int, headers: Mapping[str, str]) -> tuple[int | None, bool]:
    """The length of the body, and whether it is chunked."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if status < 200 or status in (204, 304):
        return 0, False
    if coding is not None:
        if coding.lower() != "chunked":
            raise InvalidResponse("its transfer coding was not asked for")
        return None, True
    if length is None:
        return None, False
    lengths = {value.strip(" \t") for value in length.split(",")}
    if len(lengths) > 1 or not re.fullmatch(_LENGTH, only := lengths.pop()):
        raise InvalidResponse("its Content-Length is no number, or several")
    return int(only), False
