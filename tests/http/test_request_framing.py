"""What reaches a parser: only requests that every parser reads alike, however their bytes come in."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import h11
import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cyberun_mcp.http.request_body import BadRequest
from cyberun_mcp.http.request_framing import Phase, RequestFraming
from tests.http.framing_corpus import ACCEPTED, CHUNKED, DOUBTFUL, HOST, LARGEST_HEAD, post


def passed_on(*segments: bytes) -> bytes:
    """What a parser is given of one request that comes in these segments. Raises BadRequest."""
    framing = RequestFraming(LARGEST_HEAD)
    return b"".join(framing.read(each) for each in segments)


def in_pieces(stream: bytes, *sizes: int) -> list[bytes]:
    """The stream cut into pieces of these sizes, again and again."""
    pieces, position, turn = [], 0, 0
    while position < len(stream):
        pieces.append(stream[position : position + sizes[turn % len(sizes)]])
        position += len(pieces[-1])
        turn += 1
    return pieces


@pytest.mark.parametrize("size", [1, 7, 10_000], ids=["byte by byte", "in pieces", "at once"])
@pytest.mark.parametrize("doubtful", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_request_in_doubt_is_refused_as_soon_as_it_is(doubtful: bytes, size: int) -> None:
    with pytest.raises(BadRequest):
        passed_on(*in_pieces(doubtful, size))


def test_what_came_before_the_doubt_is_not_passed_on_if_it_came_with_it() -> None:
    framing = RequestFraming(LARGEST_HEAD)
    with pytest.raises(BadRequest):
        framing.read(post(CHUNKED, b"5\r\nhello\r\nx"))


@pytest.mark.parametrize("status", [400, 413, 431, 501])
def test_each_kind_of_doubt_has_its_status(status: int) -> None:
    doubtful = {
        400: DOUBTFUL["two hosts"],
        413: post(CHUNKED, b"1\r\na\r\n" * 10_001),
        431: DOUBTFUL["too many headers"],
        501: DOUBTFUL["an unknown method"],
    }
    with pytest.raises(BadRequest) as refused:
        passed_on(doubtful[status])
    assert refused.value.status == status


@dataclass
class Read:
    """A request as a parser understands it."""

    method: bytes = b""
    target: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


def read_by_httptools(stream: bytes) -> Read:
    read = Read()
    parser = httptools.HttpRequestParser(read)
    parser.feed_data(stream)  # raises for anything malformed, and where an upgrade ends the parsing
    read.method = parser.get_method() if read.target else b""
    return read


def read_by_h11(stream: bytes) -> Read:
    read, connection = Read(), h11.Connection(h11.SERVER)
    if stream:  # nothing would mean the end of the connection
        connection.receive_data(stream)
    while not isinstance(event := connection.next_event(), type):
        if isinstance(event, h11.Request):
            read.method, read.target, read.headers = event.method, event.target, list(event.headers)
        elif isinstance(event, h11.Data):
            read.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            read.complete = True
            break
    return read


@pytest.mark.parametrize("size", [1, 7, 10_000], ids=["byte by byte", "in pieces", "at once"])
@pytest.mark.parametrize(("stream", "body"), ACCEPTED.values(), ids=ACCEPTED)
def test_both_parsers_read_what_is_accepted_alike(stream: bytes, body: bytes, size: int) -> None:
    passed = passed_on(*in_pieces(stream, size))
    read = read_by_h11(passed)
    assert read == read_by_httptools(passed)
    assert (read.complete, read.body) == (True, body)
    assert read.target.startswith(b"/")
    assert not {b"upgrade", b"http2-settings", b"te", b"trailer"} & {name for name, _ in read.headers}


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    assert (b"mcp-name", b"a b") in read_by_httptools(passed_on(post(b"Mcp-Name: \t a b \t\r\n"))).headers


def test_a_connection_is_closed_when_the_client_says_so_in_any_way() -> None:
    for close in (b"Connection: close", b"connection: Keep-Alive, CLOSE", b"Connection: x\r\nConnection: close"):
        assert (b"connection", b"close") in read_by_h11(passed_on(post(close + b"\r\n"))).headers
    assert b"connection" not in passed_on(post(b"Connection: closed\r\n"))


def test_pipelined_requests_are_passed_on_one_by_one() -> None:
    framing, pipelined = (
        RequestFraming(LARGEST_HEAD),
        post(b"Content-Length: 1\r\n", b"a") + post(CHUNKED, b"0\r\n\r\n"),
    )
    assert read_by_h11(framing.read(pipelined + b"GET")).body == b"a"
    assert (framing.phase, framing.read(b" /livez")) == (Phase.COMPLETE, b"")
    framing.next_request()
    assert read_by_h11(framing.read(b"")).complete
    framing.next_request()
    assert framing.read(b" HTTP/1.1\r\n" + HOST) == b""
    assert framing.phase is Phase.HEAD
    assert read_by_h11(framing.read(b"\r\n")).target == b"/livez"


def test_a_thousand_chunks_that_come_together_are_one_to_the_parser() -> None:
    passed = passed_on(post(CHUNKED, b"1\r\na\r\n" * 1_000 + b"0\r\n\r\n"))
    assert passed.endswith(b"\r\n\r\n3e8\r\n" + b"a" * 1_000 + b"\r\n0\r\n\r\n")


# --- anything at all

FRAGMENTS = [
    b"POST /mcp HTTP/1.1\r\n",
    b"GET http://a/x?y HTTP/1.0\r\n",
    HOST,
    CHUNKED,
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"X: \xff\t y\r\n",
    b"\r\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"\n",
    b"\r",
    b" ",
    b":",
    b"\x00",
    b"0",
    b"X",
    b"#",
]
STREAMS = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map(b"".join) | st.builds(
    lambda stream, position, fragment: stream[:position] + fragment + stream[position:],
    st.sampled_from([each for each, _ in ACCEPTED.values()]),
    st.integers(0, 200),
    st.sampled_from(FRAGMENTS) | st.binary(max_size=3),
)


def read_by_both(segments: Iterable[bytes]) -> Read | None:
    try:
        passed = passed_on(*segments)
    except BadRequest:
        return None
    read = read_by_h11(passed)
    assert read == read_by_httptools(passed)
    return read


@settings(max_examples=300, deadline=None)
@given(STREAMS, st.lists(st.integers(1, 40), min_size=1, max_size=5))
@example(post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n", b"hello"), [100])
def test_whatever_comes_in_and_however_it_is_cut_both_parsers_read_the_same_or_nothing(
    stream: bytes, sizes: list[int]
) -> None:
    assert read_by_both(in_pieces(stream, *sizes)) == read_by_both([stream])
