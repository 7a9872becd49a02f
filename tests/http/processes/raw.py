"""Requests as bytes, and what comes back on the connection until it ends."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

HUNG = 30  # seconds; nothing here takes as long, unless it hangs
PAUSE = 0.01  # seconds between two segments, so that they are not read as one

_HEAD = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r]*\r\n((?:[^\r]+\r\n)*)\r\n")


@dataclass(frozen=True)
class Answer:
    """One answer; `body` is whatever its framing says."""

    status: int
    body: bytes


@contextmanager
def connection(url: str) -> Iterator[socket.socket]:
    """A connection to the server at `url`."""
    target = urlsplit(url)
    with socket.create_connection((target.hostname, target.port), HUNG) as connected:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connected


def until_closed(url: str, *segments: bytes) -> bytes:
    """Send these segments on one connection, and give what comes until the server closes it."""
    with connection(url) as client:
        for segment in segments:
            try:
                client.sendall(segment)
            except ConnectionError:
                break  # it has been answered already, and closed
            time.sleep(PAUSE)
        return received(client)


def received(client: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    pieces = []
    with suppress(ConnectionResetError):  # a proxy does not wait for what else is on its way to it
        while piece := client.recv(65_536):
            pieces.append(piece)
    return b"".join(pieces)


def answers_in(stream: bytes) -> list[Answer]:
    """The final answers, one after the other; AssertionError for bytes that are none."""
    answers = []
    while stream:
        head = _HEAD.match(stream)
        assert head, stream[:200]
        stream = stream[head.end() :]
        status, headers = int(head[1]), head[2].lower()
        if status < 200:
            continue
        if b"transfer-encoding: chunked" in headers:
            body, _, stream = stream.partition(b"0\r\n\r\n")
        else:
            length = re.search(rb"content-length: (\d+)", headers)
            size = int(length[1]) if length else len(stream)
            body, stream = stream[:size], stream[size:]
        answers.append(Answer(status, body))
    return answers
