"""One connection, with either parser: what it reads ahead, when it goes on, and that nothing keeps it."""

import asyncio
import gc
import importlib.util
import sys
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from cyberun_mcp.http import client_connection, uvicorn_engine
from cyberun_mcp.http.settings import HttpSettings
from cyberun_mcp.observability.telemetry import NO_TELEMETRY
from tests.parsers import PARSERS

REQUEST = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
LIMIT = 4 * 1024

Connect = Callable[[], Any]


class Transport:
    """What a socket's transport is told."""

    def __init__(self) -> None:
        self.written = b""
        self.reading = self.open = True
        self.ended = False

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.open = False

    def abort(self) -> None:
        self.open = False

    def is_closing(self) -> bool:
        return not self.open

    def get_extra_info(self, _: str) -> None:
        return None


class Application:
    """Answers with the path and the body, once it may."""

    def __init__(self) -> None:
        self.may_answer = anyio.Event()
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        if scope["path"] != "/refused":
            await self.may_answer.wait()
            assert await receive() == {"type": "http.request", "body": b"hi", "more_body": False}
        answer = scope["path"].encode()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        await send({"type": "http.response.body", "body": answer})


@pytest.fixture
def application() -> Application:
    return Application()


def loaded_anew(name: str) -> Any:
    spec = importlib.util.find_spec(name)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=PARSERS)
def connect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, application: Application) -> Connect:
    """Makes a connection to `application` that uses the parser."""
    if request.param == "h11":
        monkeypatch.setattr(auto, "AutoHTTPProtocol", H11Protocol)
    # Loaded anew, since the parser is chosen at import.
    monkeypatch.setitem(sys.modules, uvicorn_engine.__name__, loaded_anew(uvicorn_engine.__name__))
    module = loaded_anew(client_connection.__name__)

    def connected(**settings: Any) -> Any:
        config = uvicorn.Config(application, log_config=None, access_log=False, lifespan="off", ws="none")
        connection = module.client_connections(HttpSettings(max_headers=LIMIT / 1024, **settings), NO_TELEMETRY)(
            config=config, server_state=ServerState(), app_state={}, _loop=asyncio.get_running_loop()
        )
        connection.connection_made(Transport())
        return connection

    return connected


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_sent_ahead_is_served_in_order_and_read_no_further_than_one_head(
    connect: Connect, application: Application
) -> None:
    connection = connect()
    transport = connection._transport
    sent = -1
    while transport.reading:
        sent += 1
        connection.data_received(REQUEST % sent)
    await settled()
    assert application.asked == ["/0"]
    assert len(REQUEST) * sent > LIMIT - len(REQUEST)
    application.may_answer.set()
    with anyio.fail_after(30):
        while len(application.asked) <= sent:  # noqa: ASYNC110 - no event of ours comes with it
            await asyncio.sleep(0)
    await settled()
    assert application.asked == [f"/{number}" for number in range(sent + 1)]
    assert transport.reading
    assert transport.open


async def test_the_rest_of_a_short_body_nobody_wants_is_dropped_and_the_connection_kept(
    connect: Connect, application: Application
) -> None:
    connection = connect()
    connection.data_received(b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    await settled()
    assert connection._transport.written.count(b"HTTP/1.1 200") == 1
    for _ in range(10):
        connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".ljust(100))
    application.may_answer.set()
    connection.data_received(REQUEST % 1)
    await settled()
    assert application.asked == ["/refused", "/1"]
    assert not connection._transport.ended


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked", b"Expect: 100-continue\r\nContent-Length: 1"]
)
async def test_an_answer_before_a_long_body_says_that_it_is_the_last_and_nothing_more_is_looked_at(
    connect: Connect, application: Application, framing: bytes
) -> None:
    connection = connect()
    connection.data_received(b"POST /refused HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % framing)
    await settled()
    assert b"\r\nconnection: close\r\n" in connection._transport.written
    assert connection._transport.ended
    connection.data_received(REQUEST % 1)
    await settled()
    assert application.asked == ["/refused"]


async def test_a_body_that_turns_bad_is_answered_once_and_the_application_sees_the_client_gone(
    connect: Connect, application: Application
) -> None:
    connection = connect()
    connection.data_received(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
    await settled()
    connection.data_received(b"x")
    application.may_answer.set()
    await settled()
    assert connection._transport.written.startswith(b"HTTP/1.1 400 ")
    assert connection._transport.written.count(b"HTTP/1.1") == 1
    assert connection._transport.ended


@pytest.mark.parametrize(
    "said",
    [b"", b"GET ", b"GET\n\n", REQUEST % 1, b"POST /refused HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"],
)
async def test_nothing_keeps_a_connection_that_has_ended(
    connect: Connect, application: Application, said: bytes
) -> None:
    application.may_answer.set()
    gc.disable()
    try:
        connection = connect()
        kept = weakref.ref(connection)
        connection.data_received(said)
        await settled()
        connection._transport.close()
        connection.connection_lost(None)
        del connection
        await settled()
        assert kept() is None
    finally:
        gc.enable()
