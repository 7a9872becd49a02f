"""The request line and headers of one request: checked strictly, and rewritten for the parser.

Headers about the connection and the body's length are checked here and written anew. Other headers are passed on.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from cyberun_mcp.http.request_body import BadRequest, ChunkedBody, SizedBody

MOST_HEADERS = 100  # clients send about 15, proxies add 5

_HEAD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (?:https?://([^/?#\s]*))?(/[!\"$-~]*) HTTP/1\.([01])\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)"
)
_METHODS = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"TRACE"})
_HOST = re.compile(rb"[A-Za-z0-9._~:\[\]-]*")
_LENGTH = re.compile(rb"[0-9]{1,18}")

# Headers about the connection and the framing. They are never passed on as they came.
_FRAMING_HEADERS = frozenset(
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

FramingHeaders = Mapping[bytes, Sequence[bytes]]  # name in lower case → values


class RequestHead:
    """One checked head. `body` is the body that follows it, of which nothing has been read."""

    __slots__ = ("_authority", "_framing", "_minor_version", "_rewritten", "body")

    def __init__(self, head: bytes) -> None:
        """Check the request line and the headers, each with its CRLF, without the empty line. Raises BadRequest."""
        match = _HEAD.fullmatch(head)
        if match is None:
            raise BadRequest("The request line or a header is malformed.")
        method, self._authority, target, self._minor_version, lines = match.groups()
        if method not in _METHODS:
            raise BadRequest("This method is not implemented.", 501)
        headers = lines.split(b"\r\n")[:-1]
        if len(headers) > MOST_HEADERS:
            raise BadRequest(f"There are more than {MOST_HEADERS} headers.", 431, "size")
        self._framing: dict[bytes, list[bytes]] = {}
        self._rewritten = [b"%s %s HTTP/1.%s" % (method, target, self._minor_version)]
        for header in headers:
            name, _, value = header.partition(b":")
            name, value = name.lower(), value.strip(b" \t")
            if name in _FRAMING_HEADERS:
                self._framing.setdefault(name, []).append(value)
            else:
                self._rewritten.append(name + b": " + value)
        self.body = _body(self._framing, self._minor_version)

    def rewritten(self) -> bytes:
        """The head to give to the parser, with its empty line. Raises BadRequest if its Host is not clear."""
        host = _host(self._framing, self._authority, self._minor_version)
        body_headers = _body_headers(self.body, self._framing, self._minor_version)
        return b"\r\n".join([*self._rewritten, *host, *body_headers, *_connection(self._framing), b"", b""])


def _body(framing: FramingHeaders, minor_version: bytes) -> SizedBody | ChunkedBody:
    lengths, codings = framing.get(b"content-length", ()), framing.get(b"transfer-encoding", ())
    if len(lengths) + len(codings) > 1:
        raise BadRequest("The length of the body is given more than once.")
    if codings and (codings[0].lower() != b"chunked" or minor_version == b"0"):
        raise BadRequest("The only Transfer-Encoding taken is chunked, with HTTP/1.1.")
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise BadRequest("Content-Length must be one decimal number.")
    if codings:
        return ChunkedBody()
    return SizedBody(int(lengths[0]) if lengths else 0, expects_continue=_expects_continue(framing, minor_version))


def _host(framing: FramingHeaders, authority: bytes | None, minor_version: bytes) -> Iterable[bytes]:
    """The one Host header. If the request line names a host too, it must be the same one."""
    hosts = framing.get(b"host", ())
    if len(hosts) > 1 or (minor_version == b"1" and not hosts):
        raise BadRequest("There must be one Host header.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise BadRequest("The Host header is malformed.")
    if authority is not None and [authority.lower()] != [host.lower() for host in hosts]:
        raise BadRequest("The Host header is not the host of the request line.")
    return [b"host: " + host for host in hosts]


def _body_headers(body: SizedBody | ChunkedBody, framing: FramingHeaders, minor_version: bytes) -> Iterable[bytes]:
    if isinstance(body, ChunkedBody):
        yield b"transfer-encoding: chunked"
    elif b"content-length" in framing:
        yield b"content-length: %d" % body.size
    if _expects_continue(framing, minor_version):
        yield b"expect: 100-continue"


def _expects_continue(framing: FramingHeaders, minor_version: bytes) -> bool:
    return minor_version == b"1" and b"100-continue" in _list_members(framing.get(b"expect", ()))


def _connection(framing: FramingHeaders) -> Iterable[bytes]:
    return [b"connection: close"] if b"close" in _list_members(framing.get(b"connection", ())) else []


def _list_members(values: Sequence[bytes]) -> set[bytes]:
    """The members of a header whose value is a comma-separated list, in lower case."""
    return {member.strip(b" \t") for member in b",".join(values).lower().split(b",")}
