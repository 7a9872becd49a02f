"""HTTP responses and event streams are parsed the same way however the network cuts them."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberun_mcp.bridge.errors import ConnectionLost, InvalidResponse
from cyberun_mcp.bridge.event_stream import EventStream
from cyberun_mcp.bridge.http_connection import HttpConnection
from cyberun_mcp.bridge.response_reader import ResponseReader

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
def test_events_are_the_same_wherever_the_network_cuts_the_stream(cuts: list[int]) -> None:
    async def read() -> None:
        stream = EventStream(pieces_of(EVENTS, cuts), lambda: None)
        assert [data async for data in stream] == [b"one", "two\né".encode(), b"three"]
        assert (stream.last_id, stream.retry) == ("4", 1.5)

    asyncio.run(read())


@given(st.lists(st.integers(min_value=0, max_value=200)))
def test_chunks_are_the_same_wherever_the_network_cuts_the_stream(cuts: list[int]) -> None:
    async def read() -> None:
        connection = connected([piece async for piece in pieces_of(CHUNKED, cuts)], ends=False)
        assert await read_response(connection) == b"Wikipedia"
        assert connection.reusable

    asyncio.run(read())


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
INVALID = [
    b"\r\n" + HEAD + b"Content-Length: 0\r\n\r\n",
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.1 abc\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/1.11 200 OK\r\n\r\n",
    b"http/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    # lines
    b"HTTP/1.1 200 OK\n\n",
    b"HTTP/1.1 200 OK\r\nX: 1\n\r\n",
    HEAD + b"X: 1\rContent-Length: 5\r\n\r\n",
    HEAD + b"X: a\0b\r\n\r\n",
    HEAD + b"X: 1\r\n folded\r\n\r\n",
    HEAD + b"Content-Length : 5\r\n\r\nfive!",
    HEAD + b"no colon\r\n\r\n",
    HEAD + b": no name\r\n\r\n",
    HEAD + b"a name: 1\r\n\r\n",
    HEAD + b"n\xe4me: 1\r\n\r\n",
    # bounds
    HEAD + b"X: " + b"x" * 2**16 + b"\r\n\r\n",
    HEAD + b"X: " + b"x" * 2**20 + b"\r\n\r\n",
    HEAD + b"X: 1\r\n" * 2**14 + b"\r\n",
    CHUNKS + b"0\r\n" + b"X: 1\r\n" * 2**14 + b"\r\n",
    # lengths
    *(
        HEAD + b"Content-Length: " + length + b"\r\n\r\nfive!"
        for length in (b"+5", b"-5", b"5_0", b"0x5", b"5.0", b"5 5", b"", b"5, 6", b"5,", b"\xb2", b"1" * 5000)
    ),
    HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nfive!",
    # transfer codings
    *(
        HEAD + b"Transfer-Encoding: " + coding + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        for coding in (
            b"xchunked",
            b"gzip, chunked",
            b"chunked, chunked",
            b"identity",
            b"",
            b"chunked;q=1",
            b"\x0bchunked",
        )
    ),
    HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # chunks
    *(
        CHUNKS + size + b"\r\nhello\r\n0\r\n\r\n"
        for size in (b"zz", b"0x5", b"+5", b"-5", b"5_0", b" 5", b"", b"\xb2", b"5\0", b"5 5", b"\t5", b"1" * 5000)
    ),
    CHUNKS + b"5\nhello\r\n0\r\n\r\n",
    CHUNKS + b"5\r\nhello, and more\r\n0\r\n\r\n",
    CHUNKS + b"5\r\nhello\n0\r\n\r\n",
    CHUNKS + b"5;" + b"x" * 2**20 + b"\r\nhello\r\n0\r\n\r\n",
    CHUNKS + b"0\r\nX: 1\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100 + HEAD + b"Content-Length: 2\r\n\r\nhi",
]


@pytest.mark.parametrize("response", INVALID, ids=lambda response: repr(response)[2:80])
async def test_a_response_with_an_ambiguous_end_or_a_wrong_syntax_is_rejected(response: bytes) -> None:
    connection = connected([response])
    with pytest.raises(InvalidResponse):
        await read_response(connection)
    assert not connection.reusable


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour",
        CHUNKS,
        CHUNKS + b"5\r\nab",
        CHUNKS + b"5\r\nhello\r\n",
        CHUNKS + b"5\r\nhello\r\n0\r\n",
    ],
)
async def test_a_truncated_response_is_lost(response: bytes) -> None:
    connection = connected([response])
    with pytest.raises(
        ConnectionLost, match="^connection closed in the middle of an answer$" if response else "^connection closed$"
    ):
        await read_response(connection)
    assert not connection.reusable


@pytest.mark.parametrize(
    ("response", "body", "reusable"),
    [
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive, x\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2 , 2\r\n\r\nhi", b"hi", True),
        (CHUNKS + b"2  \r\nhi\r\n00;a=b\r\n\r\n", b"hi", True),
        (CHUNKS + b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", True),
        # The remote closes the connection, or may do so.
        *(
            (b"HTTP/1.1 200 OK\r\nConnection: %s\r\nContent-Length: 2\r\n\r\nhi" % options, b"hi", False)
            for options in (b"close", b"CLOSE", b"close, x", b"x,close", b"x\r\nConnection: close\r\nConnection: y")
        ),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end", False),
        # There is surplus data, or the framing is suspicious.
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", b"", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!", b"hi", False),
        (CHUNKS + b"2\r\nhi\r\n0\r\n\r\n\r\n", b"hi", False),
        (CHUNKS.replace(b"chunked", b"chunked\r\nContent-Length: 9") + b"2\r\nhi\r\n0\r\n\r\n", b"hi", False),
    ],
)
async def test_a_connection_is_reused_only_if_both_sides_allow_it(response: bytes, body: bytes, reusable: bool) -> None:
    connection = connected([response], ends=b"until the end" in response)
    assert await read_response(connection) == body
    assert connection.reusable is reusable


async def test_a_complete_response_is_read_even_if_its_connection_breaks_afterwards() -> None:
    connection = connected([HEAD + b"Content-Length: 2\r\n\r\nhi"], ends=False)
    connection.reader.set_exception(ConnectionResetError(104, "Connection reset by peer"))
    assert await read_response(connection) == b"hi"
    assert not connection.reusable


async def test_a_response_that_ends_with_a_broken_connection_is_lost() -> None:
    connection = connected([HEAD + b"\r\nhi"], ends=False)
    connection.reader.set_exception(ConnectionResetError(104, "Connection reset by peer"))
    with pytest.raises(ConnectionLost, match="Connection reset by peer"):
        await read_response(connection)


async def test_a_connection_is_not_reused_if_the_response_came_before_the_whole_request_was_sent() -> None:
    connection = connected([HEAD + b"Content-Length: 2\r\n\r\nhi"], ends=False, unsent=1)
    assert await read_response(connection) == b"hi"
    assert not connection.reusable


@pytest.mark.parametrize("line", [b"data: " + b"x" * 2**16 + b"\n", b"x" * 2**16])
async def test_the_size_of_an_event_is_limited(line: bytes) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2000):
            sent.append(len(line))
            yield line

    sent: list[int] = []
    with pytest.raises(InvalidResponse, match="an event larger than"):
        await anext(aiter(EventStream(endless(), lambda: None)))
    assert sum(sent) <= 65 * 2**20


async def test_the_retry_time_of_a_stream_is_limited() -> None:
    stream = EventStream(pieces_of(b"retry: 86400000\nretry: %s\ndata: x\n\n" % (b"9" * 5000), []), lambda: None)
    assert [data async for data in stream] == [b"x"]
    assert stream.retry == 60


async def read_response(connection: HttpConnection) -> bytes:
    """The body of the response."""
    return b"".join([piece async for piece in connection.read_body(await connection.send(b""))])


def connected(pieces: list[bytes], *, ends: bool = True, unsent: int = 0) -> HttpConnection:
    """A connection on which the remote has sent `pieces`, and which it has closed if `ends`. `unsent` is in bytes."""
    reader = ResponseReader()
    for piece in pieces:
        reader.feed_data(piece)
    if ends:
        reader.feed_eof()
    return HttpConnection(reader, cast("asyncio.Transport", FakeTransport(unsent)))


class FakeTransport:
    """Discards requests. `unsent` is the size of its write buffer in bytes."""

    def __init__(self, unsent: int) -> None:
        self._unsent = unsent

    def write(self, data: bytes) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return self._unsent
