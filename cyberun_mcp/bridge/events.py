"""Server-sent events, read from pieces of any size: the data of each, and what is needed to resume the stream."""

from collections.abc import AsyncIterator


class EventStream:
    """One `text/event-stream`; `last_id` and `retry` (seconds) are what the remote has said about resuming it."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
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

    def _take(self, line: bytes, data: list[bytes]) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"id" and b"\0" not in value:
            self.last_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            self.retry = int(value) / 1000

    async def _lines(self) -> AsyncIterator[bytes]:
        """Lines ended by LF, CRLF or CR. A long line is put together once, not searched again with every piece."""
        begun: list[bytes] = []
        after_cr = False
        async for piece in self._pieces:
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
