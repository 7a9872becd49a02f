"""As much HTTP/1.1 as a JSON-RPC client needs: one request, one answer, its body in pieces as they come."""

import asyncio
import re
import select
from collections.abc import AsyncIterator

from cyberun_mcp.bridge.head import LONGEST_HEAD, Head, parse_head
from cyberun_mcp.bridge.incoming import BUFFER, Incoming, NotHttp

# Blanks after the size are not in the grammar, but some servers pad with them.
_CHUNK = rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00\r]*)?"


class Connection:
    """One connection to the remote; `idle_since` is the loop's time of the end of its last answer."""

    def __init__(self, incoming: Incoming, transport: asyncio.Transport) -> None:
        self.incoming = incoming
        self._transport = transport
        self.idle_since = 0.0
        self.reusable = False

    @property
    def usable(self) -> bool:
        """Whether the connection is open and nothing has come that was not asked for, as far as the loop knows."""
        return not self._transport.is_closing() and self.incoming.untouched

    @property
    def usable_again(self) -> bool:
        """The same of a connection that has idled, at this moment: the loop may not have looked for a while.

        Not for a fresh one. With TLS the remote has things to say there that are none of ours.
        """
        return self.usable and not _has_something_to_read(self._transport.get_extra_info("socket").fileno())

    def rest(self) -> None:
        """Stay open for another request. A connection on which anything arrives meanwhile is dropped at once."""
        self.idle_since = asyncio.get_running_loop().time()
        self.incoming.rest(self.close)

    async def ask(self, request: bytes) -> Head:
        """Send a request and wait for the head of its answer. Raises Lost or NotHttp.

        Nothing waits for the request to have left: a remote may answer, and close, before it has read it all.
        """
        self.reusable = False
        self.incoming.expect()
        self._transport.write(request)
        while (head := await self._head()).status < 200:  # 100 Continue, 103 Early Hints
            if head.status == 101:
                raise NotHttp("it speaks another protocol from now on, which was not asked for")
        return head

    async def body(self, head: Head) -> AsyncIterator[bytes]:
        """The pieces of the answer's body. Once they have ended in order, the connection may be `reusable`."""
        if head.chunked:
            while size := await self._chunk_size():
                async for piece in self._exactly(size):
                    yield piece
                if await self.incoming.line():
                    raise NotHttp("a broken chunk")
            await self._lines()  # trailers
        elif head.length is not None:
            async for piece in self._exactly(head.length):
                yield piece
        else:
            while piece := await self.incoming.some(BUFFER):
                yield piece
        # An answer that came before its request was sent may be one to another request.
        complete = self.incoming.untouched and not self._transport.get_write_buffer_size()
        self.reusable = head.keep_alive and complete

    def close(self) -> None:
        """Drop the connection now; to the remote this is a cancelled request."""
        self._transport.abort()

    async def _head(self) -> Head:
        return parse_head(await self._lines())

    async def _lines(self) -> list[bytes]:
        """All lines up to an empty one."""
        lines, size = [], 0
        while line := await self.incoming.line():
            lines.append(line)
            size += len(line) + 2
            if size > LONGEST_HEAD:
                raise NotHttp(f"it has more than {LONGEST_HEAD:,} bytes of headers")
        return lines

    async def _chunk_size(self) -> int:
        chunk = re.fullmatch(_CHUNK, await self.incoming.line())
        if chunk is None:
            raise NotHttp("a broken chunk")
        return int(chunk[1], 16)

    async def _exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            piece = await self.incoming.some(min(size, BUFFER))
            if not piece:
                raise self.incoming.lost()
            size -= len(piece)
            yield piece


def _has_something_to_read(descriptor: int) -> bool:
    """Whether anything has arrived, the end included, that the event loop has not looked at yet."""
    if not hasattr(select, "poll"):  # Windows, whose loop is told of arrivals by the system itself
        return False
    looking = select.poll()
    looking.register(descriptor, select.POLLIN)
    return bool(looking.poll(0))
