"""Server-sent events, read from pieces of any size: the data of each, and what is needed to resume the stream."""

import asyncio
from collections.abc import AsyncIterator, Callable

from cyberun_mcp.bridge.incoming import NotHttp

_LARGEST = 64 * 1024 * 1024  # bytes of one event
SILENCE_BROKEN_AFTER = 5.0  # seconds; a comment after them is a sign of life, one at the beginning of a stream is not
_LONGEST_RETRY = 60.0  # seconds; a call must not wait for its resumption for as long as a remote may say


class EventStream:
    """One `text/event-stream`; `last_id` and `retry` (seconds) are what the remote has said about resuming it.

    `silence_broken` is called when a comment shows that the remote does not leave a stream silent for long.
    """

    def __init__(self, pieces: AsyncIterator[bytes], silence_broken: Callable[[], None]) -> None:
        self._pieces = pieces
        self._silence_broken = silence_broken
        self._clock = asyncio.get_running_loop().time
        self._silence = 0.0  # before the piece that is being read
        self._held = 0  # bytes of the event that is being read, and of the piece it began in
        self.last_id = ""
        self.retry: float | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The data of each event that has any; lines of data are joined by a newline, as the standard says."""
        data: list[bytes] = []
        async for line in self._lines():
            if line:
                self._take(line, data)
            elif data:
                if event := b"\n".join(data):
                    yield event
                data = []
            if not data:
                self._held = 0

    def _take(self, line: bytes, data: list[bytes]) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"id" and b"\0" not in value:
            self.last_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            self.retry = min(int(value) / 1000, _LONGEST_RETRY)
        elif not name and self._silence > SILENCE_BROKEN_AFTER:
            self._silence_broken()

    async def _lines(self) -> AsyncIterator[bytes]:
        """Lines ended by LF, CRLF or CR. A long line is put together once, not searched again with every piece."""
        begun: list[bytes] = []
        after_cr = False
        last = self._clock()
        async for piece in self._pieces:
            self._silence, last = self._clock() - last, self._clock()
            self._held += len(piece)
            if self._held > _LARGEST:
                raise NotHttp(f"it has an event larger than {_LARGEST:,} bytes")
            if after_cr and piece.startswith(b"\n"):
                piece = piece[1:]
            after_cr = piece.endswith(b"\r")
            if b"\r" in piece:
                piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            first, *others = piece.split(b"\n")
            begun.append(first)
            for other in others:
                yield b"".join(begun)
                begun = [other]
