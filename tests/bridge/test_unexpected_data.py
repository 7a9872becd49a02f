"""What the remote sends without having been asked answers nothing, and what answers one request answers no other."""

import json
import threading
from collections.abc import Callable

import pytest

from tests.bridge.client import bridge, call
from tests.bridge.raw_remote import (
    OK,
    STRAY_408,
    RawConnection,
    http_response,
    raw_remote,
    respond_to_everything,
    result_message,
)
from tests.bridge.remotes import ReceivedRequest, event, scripted
from tests.bridge.test_error_texts import MAY_HAVE_RUN

Script = Callable[[RawConnection], None]
UNSOLICITED = {
    "a stray 408": STRAY_408,
    "a surplus answer": http_response(result_message(2, whose="nobody's")),
    "the beginning of an answer": b"HTTP/1.1 2",
    "a blank line": b"\r\n",
}


def after_the_first_answer(surplus: bytes, together: bool) -> Script:
    """Serve; the first connection sends `surplus` after its first answer, in the same segment or once it is idle."""

    def script(connection: RawConnection) -> None:
        if connection.number == 0 and (message := connection.read_request()):
            first = http_response(result_message(message["id"], on=0))
            if together:
                connection.send(first + surplus)
            else:
                connection.send(first)
                idle.wait(20)
                connection.send(surplus)
                sent.set()
        respond_to_everything(connection)

    idle, sent = threading.Event(), threading.Event()
    script.idle, script.sent = idle, sent  # type: ignore[attr-defined]
    return script


@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
@pytest.mark.parametrize("what", UNSOLICITED)
def test_what_comes_behind_an_answer_is_nobodys_and_its_connection_is_dropped(what: str, method: str) -> None:
    with raw_remote(after_the_first_answer(UNSOLICITED[what], together=True)) as remote, bridge(remote.url) as client:
        responses = [client.request({"id": number, "method": method, "params": {"name": "do"}}) for number in (1, 2, 3)]
        assert [each["result"]["on"] > 0 for each in responses] == [False, True, True]
        assert [message["id"] for message in remote.received] == [1, 2, 3]


@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
@pytest.mark.parametrize("what", UNSOLICITED)
def test_what_comes_on_an_idle_connection_is_nobodys_and_the_connection_is_dropped(what: str, method: str) -> None:
    script = after_the_first_answer(UNSOLICITED[what], together=False)
    with raw_remote(script) as remote, bridge(remote.url) as client:
        first = client.request({"id": 1, "method": method, "params": {"name": "do"}})
        script.idle.set()  # type: ignore[attr-defined]
        assert script.sent.wait(20)  # type: ignore[attr-defined]
        others = [client.request({"id": number, "method": method, "params": {"name": "do"}}) for number in (2, 3)]
        assert [each["result"]["on"] > 0 for each in (first, *others)] == [False, True, True]
        assert [message["id"] for message in remote.received] == [1, 2, 3]


def test_an_idle_connection_is_dropped_as_soon_as_the_remote_speaks_or_leaves() -> None:
    dropped: dict[int, bool] = {}
    both = threading.Barrier(2)

    def script(connection: RawConnection) -> None:
        message = connection.read_request()
        assert message
        both.wait(20)  # so that there are two connections
        connection.send(http_response(result_message(message["id"])))
        answered.wait(20)
        if connection.number == 0:
            connection.send(STRAY_408)
        else:
            connection.close_write()
        dropped[connection.number] = connection.dropped()
        over.release()

    answered, over = threading.Event(), threading.Semaphore(0)
    with raw_remote(script) as remote, bridge(remote.url) as client:
        client.send(call(1, {}), call(2, {}))
        assert {client.receive()["id"], client.receive()["id"]} == {1, 2}
        answered.set()
        assert over.acquire(timeout=20)
        assert over.acquire(timeout=20)
        assert dropped == {0: True, 1: True}
        assert len(remote.received) == 2


def test_a_connection_the_remote_has_closed_costs_no_call() -> None:
    closed = threading.Event()

    def script(connection: RawConnection) -> None:
        if message := connection.read_request():
            connection.send(http_response(result_message(message["id"], on=connection.number)))
        connection.close()
        closed.set()

    with raw_remote(script) as remote, bridge(remote.url) as client:
        for number in range(20):
            closed.clear()
            assert client.request(call(number, {}))["result"] == {"on": number}
            assert closed.wait(20)
        assert [message["id"] for message in remote.received] == list(range(20))


def test_a_remote_that_speaks_first_gets_nothing_sent() -> None:
    def script(connection: RawConnection) -> None:
        connection.send(b"220 mail.example.com ESMTP\r\n")
        respond_to_everything(connection)

    with raw_remote(script) as remote, bridge(remote.url) as client:
        for number in (1, 2):  # whether or not the greeting was here before the request
            message = client.request(call(number, {}))["error"]["message"]
            assert "Nothing was sent." in message or MAY_HAVE_RUN in message


def test_an_answer_to_another_request_is_not_passed_off_as_this_ones() -> None:
    def script(request: ReceivedRequest) -> None:
        if request.message["id"] == 1:
            request.respond(200, json.dumps(result_message(2, whose="another's")).encode())
        else:
            request.respond_with_result()

    with scripted(script) as remote, bridge(remote.url) as client:
        client.send(call(1, {}))
        refused = client.receive()
        assert refused["id"] == 1
        assert "the answer to another request" in refused["error"]["message"]
        assert MAY_HAVE_RUN in refused["error"]["message"]
        client.send(call(2, {}))
        assert client.receive()["result"]["serverInfo"]
        ports = [request.handler.client_address[1] for request in remote.received]
    assert ports[0] != ports[1]


def test_an_answer_to_another_request_in_a_stream_is_left_out_and_the_connection_not_used_again() -> None:
    def script(request: ReceivedRequest) -> None:
        if request.message["id"] == 3:
            return request.respond_with_result()
        own = result_message(request.message["id"], whose="its own")
        body = (
            event(result_message(2 if request.message["id"] == 1 else 1, whose="another's"))
            + event({"jsonrpc": "2.0"})
            + event(own)
        )
        return request.respond(200, body, "text/event-stream")

    with scripted(script) as remote, bridge(remote.url) as client:
        client.send(call(1, {}))
        assert client.receive() == result_message(1, whose="its own")
        client.send(call(2, {}))
        assert client.receive() == result_message(2, whose="its own")
        client.send(call(3, {}))
        assert client.receive()["id"] == 3
        ports = [request.handler.client_address[1] for request in remote.received]
    assert len(set(ports)) == 3


def test_an_answer_in_the_stream_for_what_the_remote_says_on_its_own_reaches_nobody() -> None:
    says = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}

    def script(request: ReceivedRequest) -> None:
        if request.http_method == "GET":
            request.start_stream()(event(result_message(1, whose="nobody's")) + event(says))
            over.wait(20)
        else:
            request.respond_with_result(Mcp_Session_Id="s")

    over = threading.Event()
    with scripted(script) as remote, bridge(remote.url) as client:
        client.initialize()
        assert client.receive() == says
        assert client.request(call(1, {}))["result"]["serverInfo"]
        over.set()


def test_an_error_that_names_another_request_is_worded_as_what_it_is_for_this_one() -> None:
    body = b'{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"not yours"}}'
    with scripted(lambda request: request.respond(400, body)) as remote, bridge(remote.url) as client:
        message = client.request(call(1, {}))["error"]["message"]
    assert "HTTP 400: not yours" in message


def test_a_408_leaves_open_whether_a_call_ran_and_what_is_harmless_is_asked_again() -> None:
    def script(connection: RawConnection) -> None:
        if connection.number == 0 and (message := connection.read_request()):
            connection.send(http_response(result_message(message["id"])))
            connection.read_request()
            connection.send(STRAY_408)  # as if it had crossed with the request
        elif connection.number == 1 and connection.read_request():
            connection.send(STRAY_408)
        respond_to_everything(connection)

    with raw_remote(script) as remote, bridge(remote.url) as client:
        client.request({"id": 1, "method": "tools/list"})
        assert "HTTP 408" in client.request({"id": 2, "method": "tools/list"})["error"]["message"]
        assert remote.connections == 2  # asked again once, since a fresh connection cannot have been idle too long
    with raw_remote(lambda connection: connection.send(STRAY_408) if connection.read_request() else None) as remote:
        with bridge(remote.url) as client:
            assert MAY_HAVE_RUN in client.request(call(1, {}))["error"]["message"]
        assert len(remote.received) == 1


def test_a_compressed_answer_that_nobody_asked_for_is_not_read() -> None:
    def script(connection: RawConnection) -> None:
        if connection.read_request():
            connection.send(OK.replace(b"json", b"json\r\nContent-Encoding: gzip") + b"Content-Length: 1000000\r\n\r\n")
            dropped.append(connection.dropped())
        over.set()

    dropped: list[bool] = []
    over = threading.Event()
    with raw_remote(script) as remote, bridge(remote.url) as client:
        message = client.request(call(1, {}))["error"]["message"]
        assert "compressed" in message
        assert MAY_HAVE_RUN in message
        assert over.wait(20)
    assert dropped == [True]
