"""The bridge's client on stdin and stdout: its lines in, and whole lines out.

Writers wait while the client does not read. The waiting goes on through the HTTP stream a line came from, up to the
remote.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from cyberun_mcp.bridge.errors import InvalidMessage
from cyberun_mcp.bridge.jsonrpc import INVALID_REQUEST
from cyberun_mcp.pipes.claim import claim_stdio, claim_stdio_for_threads
from cyberun_mcp.pipes.reader import LineReader, open_reader
from cyberun_mcp.pipes.writer import LineWriter, open_writer

LONGEST_LINE = 16 * 1024 * 1024  # bytes; a run with a small picture inline is far below


@contextmanager
def open_stdio() -> Iterator[tuple["Lines", "Output"]]:
    """Both directions, in the running event loop; stdin and stdout are claimed from now on."""
    pipes = claim_stdio() or claim_stdio_for_threads()
    # Reads far ahead, so that the end of input is noticed although the lines before it have to wait for the remote.
    with (
        open_reader(pipes, buffer=2 * LONGEST_LINE, longest=LONGEST_LINE) as reader,
        open_writer(pipes, notice_closing=True) as writer,
    ):
        yield Lines(reader), Output(writer)


class Lines:
    """The client's lines; `ended` is set once the client has closed stdin, even while lines wait to be read."""

    def __init__(self, reader: LineReader) -> None:
        self._reader = reader
        self.ended = reader.ended

    @property
    def last_byte_at(self) -> float:
        """When the last byte arrived, by the event loop's clock."""
        return self._reader.last_byte_at

    async def read(self) -> bytes:
        """The next line that is not blank; b"" when there is none. Raises InvalidMessage for one that is too long."""
        while (line := await self._reader.read()) is not None:
            if len(line) > LONGEST_LINE:
                raise InvalidMessage(INVALID_REQUEST, f"Invalid request: longer than {LONGEST_LINE:,} bytes")
            if line := line.strip():
                return line
        return b""


class Output:
    """Lines to the client; `lost` is set when the client does not read any more."""

    def __init__(self, writer: LineWriter) -> None:
        self.lost = asyncio.Event()
        self._writer = writer
        writer.on_broken = self.lost.set

    @property
    def blocked(self) -> bool:
        """Whether the client has stopped reading, for the moment."""
        return self._writer.blocked

    async def write(self, line: bytes) -> None:
        """Write one message, and wait until the client has room for another."""
        await self._writer.write(line + b"\n")

    async def room(self) -> None:
        """Wait until the client reads."""
        await self._writer.wait_until_sent()
