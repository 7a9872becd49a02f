"""A middlebox silently drops the connections to the remote. Every call still gets an answer."""

import threading

import pytest

from tests.bridge.client import bridge, call
from tests.bridge.raw_remote import RawConnection, http_response, middlebox, raw_remote, result_message
from tests.bridge.remotes import ReceivedRequest, event, scripted
from tests.bridge.test_error_texts import MAY_HAVE_RUN

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

SHORT_LIMITS = {"PING_AFTER": 0.3, "PING_INTERVAL": 0.3, "SILENCE_LIMIT": 1.5}


class StalledRemote:
    """Starts its response to a call and sets `begun`; the rest follows once `over` is set."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self.begun = threading.Event()
        self.over = threading.Event()

    def __call__(self, connection: RawConnection) -> None:
        while (message := connection.read_request()) is not None:
            if message["method"] != "tools/call":
                connection.send(http_response(result_message(message["id"])))
                continue
            connection.send(self._first)
            self.begun.set()
            self.over.wait(60)
            connection.send(event(result_message(message["id"])))


@pytest.mark.parametrize("first", [b"", EVENTS, EVENTS + event({"jsonrpc": "2.0", "method": "x"})], ids=len)
def test_a_call_on_a_dead_connection_fails_with_a_warning_that_it_may_have_run_and_is_not_repeated(
    first: bytes,
) -> None:
    stalled = StalledRemote(first)
    with (
        raw_remote(stalled) as remote,
        middlebox(remote.port) as between,
        bridge(between.url, liveness=SHORT_LIMITS) as client,
    ):
        client.send(call(1, {}))
        assert stalled.begun.wait(20)
        between.swallow()
        stalled.over.set()
        error = client.response_to(1, seconds=30)["error"]["message"]
        assert "it has sent nothing for" in error
        assert "answers a ping on another connection" in error
        assert MAY_HAVE_RUN in error
        assert client.request({"id": 2, "method": "tools/list"})["result"] == {}
        methods = remote.methods()
    assert methods.count("tools/call") == 1
    assert "ping" in methods


def test_a_call_to_a_remote_that_has_become_unreachable_fails() -> None:
    stalled = StalledRemote(EVENTS)
    liveness = {**SHORT_LIMITS, "SILENCE_LIMIT": 3600}
    with (
        raw_remote(stalled) as remote,
        middlebox(remote.port) as between,
        bridge(between.url, liveness=liveness) as client,
    ):
        client.send(call(1, {}))
        assert stalled.begun.wait(20)
        between.swallow()
        between.refuse()
        error = client.response_to(1, seconds=30)["error"]["message"]
        stalled.over.set()
    assert "cannot be reached any more" in error
    assert MAY_HAVE_RUN in error
    assert remote.methods() == ["tools/call"]


def test_a_stream_whose_keep_alives_stop_fails_before_the_silence_limit() -> None:
    def script(connection: RawConnection) -> None:
        while (message := connection.read_request()) is not None:
            if message["method"] != "tools/call":
                connection.send(http_response(result_message(message["id"])))
                continue
            connection.send(EVENTS)
            while not over.wait(0.1):
                connection.send(b": ping\n\n")
                alive.release()

    over, alive = threading.Event(), threading.Semaphore(0)
    liveness = {"PING_AFTER": 1, "PING_INTERVAL": 1, "SILENCE_LIMIT": 3600, "KEEP_ALIVE_SILENCE": 0.05}
    with (
        raw_remote(script) as remote,
        middlebox(remote.port) as between,
        bridge(between.url, liveness=liveness) as client,
    ):
        client.send(call(1, {}))
        for _ in range(5):
            assert alive.acquire(timeout=20)
        between.swallow()
        error = client.response_to(1, seconds=30)["error"]["message"]
        over.set()
    assert "answers a ping on another connection" in error
    assert MAY_HAVE_RUN in error
    assert remote.methods().count("tools/call") == 1


@pytest.mark.parametrize("first", [b"", EVENTS], ids=["JSON", "a stream"])
def test_a_slow_remote_without_keep_alives_is_pinged_and_its_call_is_answered(first: bytes) -> None:
    def script(connection: RawConnection) -> None:
        while (message := connection.read_request()) is not None:
            if message["method"] == "ping":
                pinged.release()
                connection.send(http_response(result_message(message["id"])))
                continue
            connection.send(first)
            for _ in range(3):
                assert pinged.acquire(timeout=30)
            connection.send(
                event(result_message(message["id"], late=True))
                if first
                else http_response(result_message(message["id"], late=True))
            )

    pinged = threading.Semaphore(0)
    liveness = {**SHORT_LIMITS, "SILENCE_LIMIT": 3600}
    with raw_remote(script) as remote, bridge(remote.url, liveness=liveness) as client:
        client.send(call(1, {}))
        assert client.response_to(1, seconds=60)["result"] == {"late": True}
        assert remote.methods().count("tools/call") == 1


def test_a_ping_uses_the_session_and_its_response_is_not_forwarded() -> None:
    def script(request: ReceivedRequest) -> None:
        if request.http_method != "POST":
            return request.respond(405)
        if request.message.get("method") == "ping":
            sessions.append(request.headers.get("mcp-session-id"))
            pinged.release()
        if request.message.get("method") == "tools/call":
            for _ in range(2):
                assert pinged.acquire(timeout=30)
        return request.send_result(**({"Mcp_Session_Id": "s"} if request.message.get("method") == "initialize" else {}))

    sessions: list[str | None] = []
    pinged = threading.Semaphore(0)
    with scripted(script) as remote, bridge(remote.url, liveness={**SHORT_LIMITS, "SILENCE_LIMIT": 3600}) as client:
        client.initialize()
        client.send(call(1, {}))
        assert client.receive(seconds=30)["id"] == 1
    assert set(sessions) == {"s"}


def test_a_resumable_stream_on_a_dead_connection_is_resumed_on_another_one() -> None:
    def script(connection: RawConnection) -> None:
        while (message := connection.read_request()) is not None:
            if message.get("method") == "tools/call":
                connection.send(EVENTS + b"id: e1\n" + event({"jsonrpc": "2.0", "method": "x"}))
                over.wait(60)
            elif connection.last_event_id == "e1":
                connection.send(EVENTS + event(result_message(1, resumed=True)))
                return connection.close()
            else:
                connection.send(http_response(result_message(message.get("id"))))
        return None

    over = threading.Event()
    with (
        raw_remote(script) as remote,
        middlebox(remote.port) as between,
        bridge(between.url, liveness=SHORT_LIMITS) as client,
    ):
        client.send(call(1, {}))
        assert client.receive(seconds=20)["method"] == "x"
        between.swallow()
        assert client.response_to(1, seconds=30)["result"] == {"resumed": True}
        over.set()
        assert remote.methods().count("tools/call") == 1
