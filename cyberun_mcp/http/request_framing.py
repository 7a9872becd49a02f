"""Where one request ends and the next begins, decided once, for whichever HTTP parser comes after.

Parsers differ about doubtful framing. httptools takes a request that offers an upgrade for one without a body; h11
accepts bare line feeds, folded headers, and a Content-Length beside a Transfer-Encoding. Behind a proxy such a
difference gives one caller another's answer. So nothing doubtful reaches a parser. `RequestFraming` accepts a narrow
form of HTTP/1.1 and writes it anew, with one framing header and without any offer to upgrade, which a server may ignore
(RFC 9110 section 7.8). What it passes on leaves a parser nothing to decide.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto

from cyberun_mcp.http.request_body import BadRequest, ChunkedBody, SizedBody

MOST_HEADERS = 100  # clients send about 15, proxies add 5

_HEAD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (?:https?://([^/?#\s]*))?(/[!\"$-~]*) HTTP/1\.([01])\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)"
)
_METHODS = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"TRACE"})
_HOST = re.compile(rb"[A-Za-z0-9._~:\[\]-]*")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r[^\n]")

# Headers about the connection and the framing. They are judged here, and never passed on as they came.
_JUDGED_HERE = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

Judged = Mapping[bytes, Sequence[bytes]]


class Phase(Enum):
    """How far the current request has come in."""

    SILENT = auto()  # not a byte of it
    HEAD = auto()
    BODY = auto()
    COMPLETE = auto()


class RequestFraming:
    """Reads the bytes of one connection, request by request. Stops at the end of each, until `next_request`."""

    def __init__(self, largest_head: int) -> None:
        self.phase = Phase.SILENT
        self.body: SizedBody | ChunkedBody = SizedBody(0)
        self._largest_head = largest_head
        self._held = bytearray()  # received, and not yet passed on
        self._searched = 0  # of the held bytes, those that are known not to end the head

    @property
    def sent_ahead(self) -> int:
        """How many bytes have come in that cannot be passed on yet."""
        return len(self._held)

    def next_request(self) -> None:
        """Go on after a complete request."""
        self.phase = Phase.SILENT

    def read(self, data: bytes) -> bytes:
        """Take what came in; return what of the current request a parser can be given. Raises BadRequest."""
        self._held += data
        head = self._read_head() if self.phase in (Phase.SILENT, Phase.HEAD) else b""
        body = self.body.take_from(self._held) if self.phase is Phase.BODY else b""
        if self.phase is Phase.BODY and self.body.complete:
            self.phase = Phase.COMPLETE
        return head + body

    def _read_head(self) -> bytes:
        if self.phase is Phase.SILENT:
            self._skip_empty_lines()
        end = self._held.find(b"\r\n\r\n", self._searched)
        if (len(self._held) if end < 0 else end) > self._largest_head:
            raise BadRequest("The request line and headers are too large.", 431, "size")
        if end < 0:
            # A client that ends its lines otherwise would wait for an answer, and we for the end.
            if _BARE_LINE_END.search(self._held, max(0, self._searched - 1)):
                raise BadRequest("A line does not end in CR LF.")
            self._searched = max(0, len(self._held) - 3)
            return b""
        head = _HEAD.fullmatch(bytes(self._held[: end + 2]))
        del self._held[: end + 4]
        self._searched = 0
        if head is None:
            raise BadRequest("The request line or a header is malformed.")
        return self._rewritten(head)

    def _skip_empty_lines(self) -> None:
        """Some clients end a body with a line end that belongs to nothing (RFC 9112 section 2.2)."""
        while self._held.startswith(b"\r\n"):
            del self._held[:2]
        if self._held.strip(b"\r"):
            self.phase = Phase.HEAD

    def _rewritten(self, head: re.Match[bytes]) -> bytes:
        method, authority, target, minor, lines = head.groups()
        if method not in _METHODS:
            raise BadRequest("This method is not implemented.", 501)
        headers = lines.split(b"\r\n")[:-1]
        if len(headers) > MOST_HEADERS:
            raise BadRequest(f"There are more than {MOST_HEADERS} headers.", 431, "size")
        judged: dict[bytes, list[bytes]] = {}
        passed_on = [b"%s %s HTTP/1.%s" % (method, target, minor)]
        for header in headers:
            name, _, value = header.partition(b":")
            name, value = name.lower(), value.strip(b" \t")
            if name in _JUDGED_HERE:
                judged.setdefault(name, []).append(value)
            else:
                passed_on.append(name + b": " + value)
        self.body = _body(judged, minor)
        self.phase = Phase.COMPLETE if self.body.complete else Phase.BODY
        about_the_body = _about(self.body, judged, minor)
        return b"\r\n".join([*passed_on, *_host(judged, authority, minor), *about_the_body, *_close(judged), b"", b""])


def _body(judged: Judged, minor: bytes) -> SizedBody | ChunkedBody:
    lengths, codings = judged.get(b"content-length", ()), judged.get(b"transfer-encoding", ())
    if len(lengths) + len(codings) > 1:
        raise BadRequest("The length of the body is given more than once.")
    if codings and (codings[0].lower() != b"chunked" or minor == b"0"):
        raise BadRequest("The only Transfer-Encoding taken is chunked, with HTTP/1.1.")
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise BadRequest("Content-Length must be one decimal number.")
    if codings:
        return ChunkedBody()
    return SizedBody(int(lengths[0]) if lengths else 0, on_request=_expects_continue(judged, minor))


def _about(body: SizedBody | ChunkedBody, judged: Judged, minor: bytes) -> Iterable[bytes]:
    if isinstance(body, ChunkedBody):
        yield b"transfer-encoding: chunked"
    elif b"content-length" in judged:
        yield b"content-length: %d" % body.size
    if _expects_continue(judged, minor):
        yield b"expect: 100-continue"


def _expects_continue(judged: Judged, minor: bytes) -> bool:
    return minor == b"1" and b"100-continue" in _members(judged.get(b"expect", ()))


def _host(judged: Judged, authority: bytes | None, minor: bytes) -> Iterable[bytes]:
    """The one Host there may be; where the request line names one too, it must be the same."""
    hosts = judged.get(b"host", ())
    if len(hosts) > 1 or (minor == b"1" and not hosts):
        raise BadRequest("There must be one Host header.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise BadRequest("The Host header is malformed.")
    if authority is not None and [authority.lower()] != [each.lower() for each in hosts]:
        raise BadRequest("The Host header is not the host of the request line.")
    return (b"host: " + each for each in hosts)


def _close(judged: Judged) -> Iterable[bytes]:
    return [b"connection: close"] if b"close" in _members(judged.get(b"connection", ())) else []


def _members(values: Sequence[bytes]) -> set[bytes]:
    """The members of a header that is a list, in lower case."""
    return {each.strip(b" \t") for each in b",".join(values).lower().split(b",")}
