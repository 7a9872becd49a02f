"""Data that belongs to no request is discarded, and a response is never used for a different request."""

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
    "a surplus response": http_response(result_message(2, whose="no request's")),
    "the start of a response": b"HTTP/1.1 2",
    "a blank line": b"\r\n",
}


def after_the_first_response(surplus: bytes, together: bool) -> Script:
    """Respond to requests. The first connection adds `surplus` to its first response, `together` or later."""

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
def test_data_behind_a_response_is_discarded_with_its_connection(what: str, method: str) -> None:
    with raw_remote(after_the_first_response(UNSOLICITED[what], together=True)) as remote, bridge(remote.url) as client:
        responses = [client.request({"id": number, "method": method, "params": {"name": "do"}}) for number in (1, 2, 3)]
        assert [response["result"]["on"] > 0 for response in responses] == [False, True, True]
        assert [message["id"] for message in remote.received] == [1, 2, 3]


@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
@pytest.mark.parametrize("what", UNSOLICITED)
def test_data_on_an_idle_connection_is_discarded_with_the_connection(what: str, method: str) -> None:
    script = after_the_first_response(UNSOLICITED[what], together=False)
    with raw_remote(script) as remote, bridge(remote.url) as client:
        first = client.request({"id": 1, "method": method, "params": {"name": "do"}})
        script.idle.set()  # type: ignore[attr-defined]
        assert script.sent.wait(20)  # type: ignore[attr-defined]
        others = [client.request({"id": number, "method": method, "params": {"name": "do"}}) for number in (2, 3)]
        assert [response["result"]["on"] > 0 for response in (first, *others)] == [False, True, True]
        assert [message["id"] for message in remote.received] == [1, 2, 3]


def test_an_idle_connection_is_closed_as_soon_as_the_remote_sends_data_or_closes_it() -> None:
    closed: dict[int, bool] = {}
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
        closed[connection.number] = connection.wait_until_closed()
        over.release()

    answered, over = threading.Event(), threading.Semaphore(0)
    with raw_remote(script) as remote, bridge(remote.url) as client:
        client.send(call(1, {}), call(2, {}))
        assert {client.receive()["id"], client.receive()["id"]} == {1, 2}
        answered.set()
        assert over.acquire(timeout=20)
        assert over.acquire(timeout=20)
        assert closed == {0: True, 1: True}
        assert len(remote.received) == 2


def test_a_connection_that_the_remote_has_closed_costs_no_call() -> None:
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


def test_a_call_to_a_remote_that_speaks_first_fails() -> None:
    def script(connection: RawConnection) -> None:
        connection.send(b"220 mail.example.com ESMTP\r\n")
        respond_to_everything(connection)

    with raw_remote(script) as remote, bridge(remote.url) as client:
        for number in (1, 2):  # the greeting may arrive before or after the request
            message = client.request(call(number, {}))["error"]["message"]
            assert "Nothing was sent." in message or MAY_HAVE_RUN in message


def test_a_response_to_another_request_is_not_forwarded() -> None:
    def script(request: ReceivedRequest) -> None:
        if request.message["id"] == 1:
            request.respond(200, json.dumps(result_message(2, whose="another's")).encode())
        else:
            request.send_result()

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


def test_a_response_to_another_request_in_a_stream_is_left_out_and_the_connection_is_not_reused() -> None:
    def script(request: ReceivedRequest) -> None:
        if request.message["id"] == 3:
            return request.send_result()
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


def test_a_response_in_the_stream_for_unsolicited_messages_is_not_forwarded() -> None:
    notification = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}

    def script(request: ReceivedRequest) -> None:
        if request.http_method == "GET":
            request.start_stream()(event(result_message(1, whose="no request's")) + event(notification))
            over.wait(20)
        else:
            request.send_result(Mcp_Session_Id="s")

    over = threading.Event()
    with scripted(script) as remote, bridge(remote.url) as client:
        client.initialize()
        assert client.receive() == notification
        assert client.request(call(1, {}))["result"]["serverInfo"]
        over.set()


def test_an_error_with_the_id_of_another_request_becomes_an_http_error_text() -> None:
    body = b'{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"not yours"}}'
    with scripted(lambda request: request.respond(400, body)) as remote, bridge(remote.url) as client:
        message = client.request(call(1, {}))["error"]["message"]
    assert "HTTP 400: not yours" in message


def test_after_a_408_a_call_may_have_run_and_a_repeatable_request_is_sent_again() -> None:
    def script(connection: RawConnection) -> None:
        if connection.number == 0 and (message := connection.read_request()):
            connection.send(http_response(result_message(message["id"])))
            connection.read_request()
            connection.send(STRAY_408)  # as if it had been sent before the request arrived
        elif connection.number == 1 and connection.read_request():
            connection.send(STRAY_408)
        respond_to_everything(connection)

    with raw_remote(script) as remote, bridge(remote.url) as client:
        client.request({"id": 1, "method": "tools/list"})
        assert "HTTP 408" in client.request({"id": 2, "method": "tools/list"})["error"]["message"]
        assert remote.connections == 2  # sent again only once: a new connection cannot have been idle for too long
    with raw_remote(lambda connection: connection.send(STRAY_408) if connection.read_request() else None) as remote:
        with bridge(remote.url) as client:
            assert MAY_HAVE_RUN in client.request(call(1, {}))["error"]["message"]
        assert len(remote.received) == 1


def test_a_compressed_response_is_rejected() -> None:
    def script(connection: RawConnection) -> None:
        if connection.read_request():
            connection.send(OK.replace(b"json", b"json\r\nContent-Encoding: gzip") + b"Content-Length: 1000000\r\n\r\n")
            closed.append(connection.wait_until_closed())
        over.set()

    closed: list[bool] = []
    over = threading.Event()
    with raw_remote(script) as remote, bridge(remote.url) as client:
        message = client.request(call(1, {}))["error"]["message"]
        assert "compressed" in message
        assert MAY_HAVE_RUN in message
        assert over.wait(20)
    assert closed == [True]
