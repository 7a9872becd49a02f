"""Parses server-sent events from pieces of any size: the data of each event, and what resuming the stream needs."""

import asyncio
from collections.abc import AsyncIterator, Callable

from cyberun_mcp.bridge.errors import InvalidResponse

_MAX_EVENT = 64 * 1024 * 1024  # bytes
KEEP_ALIVE_SILENCE = 5.0  # seconds; a comment after such a silence is a keep-alive, one at the start of a stream is not
_MAX_RETRY = 60.0  # seconds; a remote must not delay the resumption of a call for longer


class EventStream:
    """One `text/event-stream`; `last_id` and `retry` (seconds) are the remote's latest values for resuming it.

    `on_keep_alive` is called for a comment that the remote sent after a silence.
    """

    def __init__(self, pieces: AsyncIterator[bytes], on_keep_alive: Callable[[], None]) -> None:
        self._pieces = pieces
        self._on_keep_alive = on_keep_alive
        self._clock = asyncio.get_running_loop().time
        self._silence = 0.0  # seconds before the current piece
        self._held = 0  # bytes of the current event, including the whole piece in which it began
        self.last_id = ""
        self.retry: float | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The data of each event that has any; several `data` lines are joined by newlines, as the standard says."""
        data: list[bytes] = []
        async for line in self._lines():
            if line:
                self._parse_field(line, data)
            elif data:
                if event := b"\n".join(data):
                    yield event
                data = []
            if not data:
                self._held = 0

    def _parse_field(self, line: bytes, data: list[bytes]) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"id" and b"\0" not in value:
            self.last_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            self.retry = min(int(value) / 1000, _MAX_RETRY)
        elif not name and self._silence > KEEP_ALIVE_SILENCE:
            self._on_keep_alive()

    async def _lines(self) -> AsyncIterator[bytes]:
        """Lines that end in LF, CRLF or CR. A long line is joined once, instead of searched again with every piece."""
        line_parts: list[bytes] = []
        after_cr = False
        last = self._clock()
        async for piece in self._pieces:
            self._silence, last = self._clock() - last, self._clock()
            self._held += len(piece)
            if self._held > _MAX_EVENT:
                raise InvalidResponse(f"it has an event larger than {_MAX_EVENT:,} bytes")
            if after_cr and piece.startswith(b"\n"):
                piece = piece[1:]
            after_cr = piece.endswith(b"\r")
            if b"\r" in piece:
                piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            first, *others = piece.split(b"\n")
            line_parts.append(first)
            for other in others:
                yield b"".join(line_parts)
                line_parts = [other]
