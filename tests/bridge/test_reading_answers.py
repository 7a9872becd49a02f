"""Answers are read the same however the network cuts them to pieces."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberun_mcp.bridge.events import EventStream
from cyberun_mcp.bridge.http1 import Connection, Lost, NotHttp

EVENTS = (
    b": hello\r\nid: 4\r\ndata: one\r\n\r\nretry: 1500\ndata:two\ndata: \xc3\xa9\n\n"
    b"data\n\nevent: x\rdata: three\r\rdata: cut"
)
CHUNKED = (
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: t\r\n\r\n"
)


async def pieces_of(content: bytes, cuts: Iterable[int]) -> AsyncIterator[bytes]:
    places = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    for begin, end in itertools.pairwise(places):
        yield content[begin:end]


@given(st.lists(st.integers(min_value=0, max_value=200)))
def test_events_are_the_same_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    async def read() -> None:
        stream = EventStream(pieces_of(EVENTS, cuts))
        assert [data async for data in stream] == [b"one", "two\né".encode(), b"three"]
        assert (stream.last_id, stream.retry) == ("4", 1.5)

    asyncio.run(read())


@given(st.lists(st.integers(min_value=0, max_value=200)))
def test_chunks_are_the_same_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    async def read() -> None:
        connection = connected([piece async for piece in pieces_of(CHUNKED, cuts)])
        assert await everything_on(connection) == b"Wikipedia"
        assert connection.reusable

    asyncio.run(read())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", Lost),
        (b"HTTP/1.1 200 OK\r\n", NotHttp),
        (b"HTTP/2 200 OK\r\n\r\n", NotHttp),
        (b"HTTP/1.1 abc\r\n\r\n", NotHttp),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**17 + b"\r\n\r\n", NotHttp),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour", Lost),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", NotHttp),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", NotHttp),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", Lost),
    ],
)
async def test_an_answer_that_is_none_is_told_from_one_that_was_lost(answer: bytes, error: type[Exception]) -> None:
    connection = connected([answer])
    with pytest.raises(error):
        await everything_on(connection)
    assert not connection.reusable


@pytest.mark.parametrize(
    ("answer", "body", "reusable"),
    [
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end", False),
    ],
)
async def test_a_connection_is_kept_only_where_both_sides_may(answer: bytes, body: bytes, reusable: bool) -> None:
    connection = connected([answer])
    assert await everything_on(connection) == body
    assert connection.reusable is reusable


async def everything_on(connection: Connection) -> bytes:
    """The body of the answer."""
    return b"".join([piece async for piece in connection.body(await connection.ask(b""))])


def connected(pieces: list[bytes]) -> Connection:
    """A connection whose other side has sent `pieces` and gone."""
    reader = asyncio.StreamReader()
    for piece in pieces:
        reader.feed_data(piece)
    reader.feed_eof()
    return Connection(reader, cast("asyncio.StreamWriter", Nowhere()))


class Nowhere:
    def write(self, data: bytes) -> None:
        """Whatever is asked is not what is tested here."""
