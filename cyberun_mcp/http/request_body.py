"""The body of a request as it arrives: how much of it is there, and where it ends.

Stricter than RFC 9112 requires. Chunk extensions and trailers are rejected: no MCP client sends them, proxies need not
pass them on, and parsers have disagreed about both.
"""

import re

MOST_CHUNKS = 10_000  # of one body; a client that sends 4 MiB in pieces of 1 KiB needs 4,096

_CHUNK_SIZE = re.compile(rb"\r\n([0-9A-Fa-f]{1,8})\r\n")
_PARTIAL_CHUNK_SIZE = re.compile(rb"(?:\r(?:\n(?:[0-9A-Fa-f]{1,8}\r?)?)?)?")
_CRLF = b"\r\n"


class BadRequest(Exception):
    """A request that gets this message and `status` as its response. `reason` is a label of the metrics."""

    def __init__(self, message: str, status: int = 400, reason: str = "framing") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class SizedBody:
    """A body with a known number of bytes, `size`; 0 without a Content-Length.

    With `expects_continue` the client waits for a 100 response before it sends the body.
    """

    def __init__(self, size: int, *, expects_continue: bool = False) -> None:
        self.size = size
        self._remaining = size
        self._expects_continue = expects_continue

    @property
    def complete(self) -> bool:
        """Whether all of it has arrived."""
        return not self._remaining

    @property
    def remaining(self) -> float:
        """How many bytes have not arrived. Unknown (infinite) if a client waits for a 100: it may never send them."""
        return float("inf") if self._expects_continue else self._remaining

    def take_from(self, buffer: bytearray) -> bytes:
        """Move the bytes of this body out of `buffer`; they go to the parser."""
        piece = bytes(buffer[: self._remaining])
        del buffer[: len(piece)]
        self._remaining -= len(piece)
        return piece


class ChunkedBody:
    """A body with `Transfer-Encoding: chunked`."""

    remaining = float("inf")  # unknown

    def __init__(self) -> None:
        self.complete = False
        self._line_end = _CRLF  # the end of a chunk, put before the first one too, so that all are parsed alike
        self._left_in_chunk = 0  # bytes
        self._chunks = 0

    def take_from(self, buffer: bytearray) -> bytes:
        """Move the bytes of this body out of `buffer`; they go to the parser. Raises BadRequest if it is malformed.

        All data in the buffer is written as one chunk: a parser would be slow with thousands.
        """
        buffer[:0], self._line_end = self._line_end, b""
        body, position = bytearray(), 0
        while not self.complete:
            piece = buffer[position : position + self._left_in_chunk]
            body += piece
            position += len(piece)
            self._left_in_chunk -= len(piece)
            if self._left_in_chunk or not (next_position := self._begin_chunk(buffer, position)):
                break
            position = next_position
        del buffer[:position]
        rewritten = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        return rewritten + b"0\r\n\r\n" if self.complete else rewritten

    def _begin_chunk(self, buffer: bytearray, position: int) -> int:
        """Read the size of the chunk at `position`. Returns where its data begins, or 0 if its size is incomplete."""
        size = _CHUNK_SIZE.match(buffer, position)
        if size is None:
            if not _PARTIAL_CHUNK_SIZE.fullmatch(buffer, position):
                raise BadRequest("A chunk of the body is malformed.")
            return 0
        self._left_in_chunk = int(size[1], 16)
        if self._left_in_chunk:
            self._chunks += 1
            if self._chunks > MOST_CHUNKS:
                raise BadRequest(f"The body comes in more than {MOST_CHUNKS:,} chunks.", 413, "size")
            return size.end()
        after = bytes(buffer[size.end() : size.end() + len(_CRLF)])
        if not _CRLF.startswith(after):
            raise BadRequest("Headers after the body are not taken.")
        self.complete = after == _CRLF
        return size.end() + len(_CRLF) if self.complete else 0
