"""As much HTTP/1.1 as a JSON-RPC client needs: one request, one answer, its body in pieces as they come."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

_PIECE = 256 * 1024


class Lost(Exception):
    """The connection ended before the answer did."""


class NotHttp(Exception):
    """What came is no HTTP answer, or none of a kind we asked for."""


class Head(NamedTuple):
    """Status line and headers of an answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    keep_alive: bool

    @property
    def media_type(self) -> str:
        """`application/json`, without parameters; empty when the answer does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Connection:
    """One connection to the remote; `idle_since` is the loop's time of the end of its last answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.idle_since = 0.0
        self.reusable = False

    @property
    def usable(self) -> bool:
        """Whether the remote has left the connection open, as far as is known on this side."""
        return not (self._writer.is_closing() or self._reader.at_eof() or self._reader.exception())

    async def ask(self, request: bytes) -> Head:
        """Send a request and wait for the head of its answer. Raises Lost or NotHttp.

        Nothing waits for the request to have left: a remote may answer, and close, before it has read it all.
        """
        self.reusable = False
        self._writer.write(request)
        while (head := await self._head()).status < 200:  # 100 Continue, 103 Early Hints
            continue
        return head

    async def body(self, head: Head) -> AsyncIterator[bytes]:
        """The pieces of the answer's body. Once they have ended in order, the connection may be `reusable`."""
        length = head.headers.get("content-length", "")
        if head.headers.get("transfer-encoding", "").lower().endswith("chunked"):
            while size := await self._chunk_size():
                async for piece in self._exactly(size):
                    yield piece
                await self._line()
            while await self._line():  # trailers
                continue
        elif length.isdecimal():
            async for piece in self._exactly(int(length)):
                yield piece
        elif head.status not in (204, 304):
            while piece := await self._some(_PIECE):
                yield piece
            return
        self.reusable = head.keep_alive

    def close(self) -> None:
        """Drop the connection now; to the remote this is a cancelled request."""
        self._writer.transport.abort()

    async def _head(self) -> Head:
        try:
            raw = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise NotHttp("not an HTTP answer") from error
            raise Lost("connection closed") from error
        except asyncio.LimitOverrunError as error:
            raise NotHttp("endless headers") from error
        except OSError as error:
            raise Lost(error.strerror or str(error)) from error
        status_line, *fields = raw[:-4].decode("latin-1").split("\r\n")
        version, _, rest = status_line.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
            raise NotHttp("not an HTTP answer")
        headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        keep_alive = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        return Head(int(rest[:3]), headers, keep_alive)

    async def _chunk_size(self) -> int:
        line = (await self._line()).partition(b";")[0].strip()
        try:
            size = int(line, 16)
        except ValueError as error:
            raise NotHttp("a broken chunk") from error
        if size < 0:
            raise NotHttp("a broken chunk")
        return size

    async def _exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            piece = await self._some(min(size, _PIECE))
            if not piece:
                raise Lost("connection closed in the middle of an answer")
            size -= len(piece)
            yield piece

    async def _some(self, most: int) -> bytes:
        try:
            return await self._reader.read(most)
        except OSError as error:
            raise Lost(error.strerror or str(error)) from error

    async def _line(self) -> bytes:
        try:
            return (await self._reader.readuntil(b"\n")).rstrip(b"\r\n")
        except asyncio.IncompleteReadError as error:
            raise Lost("connection closed in the middle of an answer") from error
        except asyncio.LimitOverrunError as error:
            raise NotHttp("a broken chunk") from error
        except OSError as error:
            raise Lost(error.strerror or str(error)) from error
