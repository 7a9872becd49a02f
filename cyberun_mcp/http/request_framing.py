"""Where one request ends and the next begins, decided once, before any HTTP parser reads it.

Parsers disagree about ambiguous framing. httptools takes a request that offers an upgrade for one without a body; h11
accepts bare line feeds, folded headers, and a Content-Length beside a Transfer-Encoding. Behind a proxy such a
difference lets one caller get another caller's response (request smuggling). So `RequestFraming` accepts a narrow form
of HTTP/1.1 only, and rewrites it with one framing header and without any offer to upgrade, which a server may ignore
(RFC 9110 section 7.8). The result leaves a parser nothing to decide.
"""

import re
from enum import Enum, auto

from cyberun_mcp.http.request_body import BadRequest, ChunkedBody, SizedBody
from cyberun_mcp.http.request_head import RequestHead

_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r[^\n]")


class Phase(Enum):
    """How much of the current request has arrived."""

    IDLE = auto()  # nothing yet
    HEAD = auto()
    BODY = auto()
    COMPLETE = auto()


class RequestFraming:
    """Reads the bytes of one connection, request by request. Stops at the end of each, until `next_request`.

    `largest_head` is in bytes.
    """

    def __init__(self, largest_head: int) -> None:
        self.phase = Phase.IDLE
        self.body: SizedBody | ChunkedBody = SizedBody(0)
        self._largest_head = largest_head
        self._buffer = bytearray()  # received, and not yet given to the parser
        self._searched = 0  # bytes of the buffer that are known not to contain the end of the head

    @property
    def buffered(self) -> int:
        """How many bytes have arrived that cannot be given to the parser yet."""
        return len(self._buffer)

    def next_request(self) -> None:
        """Go on after a complete request."""
        self.phase = Phase.IDLE

    def read(self, data: bytes) -> bytes:
        """Add `data`. Returns the bytes of the current request to give to the parser. Raises BadRequest."""
        self._buffer += data
        head = self._read_head() if self.phase in (Phase.IDLE, Phase.HEAD) else b""
        body = self.body.take_from(self._buffer) if self.phase is Phase.BODY else b""
        if self.phase is Phase.BODY and self.body.complete:
            self.phase = Phase.COMPLETE
        return head + body

    def _read_head(self) -> bytes:
        if self.phase is Phase.IDLE:
            self._skip_empty_lines()
        end = self._buffer.find(b"\r\n\r\n", self._searched)
        if (len(self._buffer) if end < 0 else end) > self._largest_head:
            raise BadRequest("The request line and headers are too large.", 431, "size")
        if end < 0:
            # A client that ends its lines otherwise would wait for the response, and we for the end of the head.
            if _BARE_LINE_END.search(self._buffer, max(0, self._searched - 1)):
                raise BadRequest("A line does not end in CR LF.")
            self._searched = max(0, len(self._buffer) - 3)
            return b""
        head = bytes(self._buffer[: end + 2])
        del self._buffer[: end + 4]
        self._searched = 0
        request = RequestHead(head)
        self.body = request.body
        self.phase = Phase.COMPLETE if self.body.complete else Phase.BODY
        return request.rewritten()

    def _skip_empty_lines(self) -> None:
        """Skip the line end that some clients send after a body, and that belongs to nothing (RFC 9112 section 2.2)."""
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        if self._buffer.strip(b"\r"):
            self.phase = Phase.HEAD
