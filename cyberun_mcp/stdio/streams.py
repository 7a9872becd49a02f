"""The SDK's messages over the pipes of `cyberun_mcp.pipes`: a line in, a message out, and the other way round."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp_types import jsonrpc_message_adapter

from cyberun_mcp.pipes.claim import StdioPipes
from cyberun_mcp.pipes.reader import LineReader, open_reader
from cyberun_mcp.pipes.writer import LineWriter, open_writer
from cyberun_mcp.sdk_engine import SessionMessage

PARTING = 0.2  # seconds that the last message gets to be written after a signal


@contextmanager
def open_streams(pipes: StdioPipes) -> Iterator[tuple["MessageReader", "MessageWriter"]]:
    """Both directions of `pipes`, in the running event loop."""
    with open_reader(pipes) as lines, open_writer(pipes) as output:
        writer = MessageWriter(output)
        reader = MessageReader(lines, writer)
        output.on_broken = reader.stop
        yield reader, writer


class MessageWriter(ObjectSendStream[SessionMessage]):
    """Messages to the client. Nothing is queued: `send` waits until the message before it has been written."""

    def __init__(self, lines: LineWriter) -> None:
        self.lines = lines
        self._closing = anyio.CancelScope()
        self._closed = False

    async def send(self, item: SessionMessage) -> None:
        await self.lines.wait_until_ready()
        if self._closed or self.lines.broken:
            raise anyio.ClosedResourceError
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True) + "\n"
        self.lines.write_now(line.encode())

    async def aclose(self) -> None:
        """Wait until the last message is written, the client reads no more, or time is up."""
        with self._closing:
            await self.lines.wait_until_sent()
        self._closed = True

    def close_soon(self) -> None:
        """Closing takes no longer than `PARTING` from now on."""
        self._closing.deadline = anyio.current_time() + PARTING


class MessageReader(ObjectReceiveStream[SessionMessage | Exception]):
    """Messages from the client, until it ends or `stop` is called, after which a signal looks like the end of input."""

    def __init__(self, lines: LineReader, writer: MessageWriter) -> None:
        self._lines = lines
        self._writer = writer

    @property
    def last_byte_at(self) -> float:
        """When the last byte arrived, by the event loop's clock."""
        return self._lines.last_byte_at

    def stop(self) -> None:
        """Deliver nothing more, not even what has been read already, and do not wait long for the client to read."""
        self._lines.stop()
        self._writer.close_soon()

    async def receive(self) -> SessionMessage | Exception:
        """The next message, or the error that tells why a line is none."""
        if self._lines.has_lines:  # let earlier requests begin, or a thousand would start before one is answered
            await asyncio.sleep(0)
        await self._writer.lines.wait_for_space()
        line = await self._lines.read()
        if line is None:
            raise anyio.EndOfStream
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line.decode(errors="replace"), by_name=False))
        except ValueError as error:
            return error

    async def aclose(self) -> None:
        self._lines.stop()
