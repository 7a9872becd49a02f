"""The body of a request as it comes in: how much of it is there, and where it ends.

Stricter than RFC 9112 allows. Chunk extensions and headers after the body are refused: no MCP client sends them, no
proxy has to pass them on, and parsers have disagreed about both.
"""

import re

MOST_CHUNKS = 10_000  # of one body; a client that sends 4 MiB in pieces of 1 KiB needs 4,096

_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,8})\r\n")
_BEGINNING_OF_CHUNK = re.compile(rb"(?:\r(?:\n(?:[0-9A-Fa-f]{1,8}\r?)?)?)?")
_END = b"\r\n"


class BadRequest(Exception):
    """A request that gets this answer and no other. `reason` is for the metrics."""

    def __init__(self, message: str, status: int = 400, reason: str = "framing") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class SizedBody:
    """A body whose Content-Length is known; without one it has no bytes."""

    def __init__(self, size: int, *, on_request: bool = False) -> None:
        self.size = size
        self._left = size
        self._on_request = on_request  # the client waits for a 100 before it sends anything of it

    @property
    def complete(self) -> bool:
        """Whether all of it has come in."""
        return not self._left

    @property
    def to_come(self) -> float:
        """How many bytes have not come in yet. A client that gets no 100 may or may not send its body."""
        return float("inf") if self._on_request else self._left

    def take_from(self, held: bytearray) -> bytes:
        """Move what belongs to this body out of `held`, for a parser to read."""
        piece = bytes(held[: self._left])
        del held[: len(piece)]
        self._left -= len(piece)
        return piece


class ChunkedBody:
    """A body with `Transfer-Encoding: chunked`."""

    to_come = float("inf")  # nobody can tell

    def __init__(self) -> None:
        self.complete = False
        self._line_end = _END  # before the next chunk; the first one has none of its own
        self._left = 0  # bytes of the current chunk
        self._chunks = 0

    def take_from(self, held: bytearray) -> bytes:
        """Move what belongs to this body out of `held`, for a parser to read; BadRequest when it is malformed.

        All that has come is written as one chunk: a parser would take its time for each of thousands.
        """
        held[:0], self._line_end = self._line_end, b""
        body, position = bytearray(), 0
        while not self.complete:
            piece = held[position : position + self._left]
            body += piece
            position += len(piece)
            self._left -= len(piece)
            if self._left or not (next_one := self._next_chunk(held, position)):
                break
            position = next_one
        del held[:position]
        rewritten = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        return rewritten + b"0\r\n\r\n" if self.complete else rewritten

    def _next_chunk(self, held: bytearray, position: int) -> int:
        """Where the data of the chunk that begins at `position` begins, or 0 when its size has not come in yet."""
        chunk = _CHUNK.match(held, position)
        if chunk is None:
            if not _BEGINNING_OF_CHUNK.fullmatch(held, position):
                raise BadRequest("A chunk of the body is malformed.")
            return 0
        self._left = int(chunk[1], 16)
        if self._left:
            self._chunks += 1
            if self._chunks > MOST_CHUNKS:
                raise BadRequest(f"The body comes in more than {MOST_CHUNKS:,} chunks.", 413, "size")
            return chunk.end()
        after = bytes(held[chunk.end() : chunk.end() + len(_END)])
        if not _END.startswith(after):
            raise BadRequest("Headers after the body are not taken.")
        self.complete = after == _END
        return chunk.end() + len(_END) if self.complete else 0
