"""The remote is down, goes down, comes back, or comes back without memory of the client; the bridge outlives it all."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import cast

import pytest

from cyberun_mcp.bridge.endpoint import endpoint
from cyberun_mcp.bridge.relay import PATIENCE, Relay
from cyberun_mcp.bridge.stdio import Lines, Output
from tests.bridge.client import ENVELOPE, OPENING, bridge, call
from tests.bridge.remotes import Asked, SdkRemote, event, scripted
from tests.bridge.test_trouble import MAY_HAVE_RUN
from tests.properties.virtual_clock import run_at_once
from tests.waiting import GUARD, wait_until

OPENINGS = {
    "initialize": {"id": 1, "method": "initialize", "params": OPENING},
    "server/discover": {"id": 1, "method": "server/discover", "params": {"_meta": ENVELOPE}},
}


@pytest.fixture
def mortal(mode: str) -> Iterator[SdkRemote]:
    """A remote of the SDK that the test may kill."""
    remote = SdkRemote("stateful" if mode == "2025 stateful" else "stateless")
    yield remote
    remote.kill()


def free_port() -> int:
    with scripted() as remote:
        return remote.port


@pytest.mark.parametrize("method", OPENINGS)
def test_the_first_question_waits_for_a_remote_that_is_down_and_then_says_so(method: str) -> None:
    port = free_port()
    with bridge(f"http://127.0.0.1:{port}/mcp", patience=0.6) as client:
        message = client.ask(OPENINGS[method])["error"]["message"]
        assert client.waits_for_its_remote
        assert f"http://127.0.0.1:{port}/mcp cannot be reached: connection refused. Nothing was sent." in message
        with scripted(port=port):
            assert client.ask({**OPENINGS[method], "id": 2})["result"]


class Terminal:
    """A client that has sent one line, and when it was answered."""

    def __init__(self, line: bytes) -> None:
        self._lines = [line]
        self.blocked = False
        self.answered = asyncio.Event()

    async def read(self) -> bytes:
        return self._lines.pop() if self._lines else await asyncio.Future()

    async def write(self, line: bytes) -> None:
        self.answered.set()


@pytest.mark.parametrize(("method", "patience"), [*((each, PATIENCE) for each in OPENINGS), ("tools/list", 0)])
def test_a_first_question_is_given_up_when_its_time_is_over_and_others_at_once(
    method: str, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise ConnectionRefusedError

    async def ask() -> float:
        message = OPENINGS.get(method, {"id": 1, "method": method, "params": {"_meta": ENVELOPE}})
        client = Terminal(json.dumps({"jsonrpc": "2.0", **message}).encode())
        relay = Relay(
            endpoint("http://127.0.0.1:9/mcp", [], None, allow_http=True, environ={}), cast("Output", client), PATIENCE
        )
        running = asyncio.create_task(relay.run(cast("Lines", client)))
        await client.answered.wait()
        running.cancel()
        return asyncio.get_running_loop().time()

    monkeypatch.setattr("cyberun_mcp.bridge.dialing._connect", refuse)
    assert patience - 1 <= run_at_once(ask) <= patience  # it asks again once a second


@pytest.mark.parametrize("method", OPENINGS)
def test_the_first_question_is_answered_as_soon_as_the_remote_is_up(method: str) -> None:
    port = free_port()
    with bridge(f"http://127.0.0.1:{port}/mcp", patience=GUARD) as client:
        client.send(OPENINGS[method])
        wait_until(lambda: client.waits_for_its_remote)
        with scripted(port=port) as remote:
            assert client.receive()["result"]
            assert remote.methods() == [method]


def test_what_follows_initialize_in_the_pipe_waits_with_it() -> None:
    port = free_port()
    with bridge(f"http://127.0.0.1:{port}/mcp", patience=GUARD) as client:
        client.send(OPENINGS["initialize"], {"method": "notifications/initialized"}, {"id": 2, "method": "tools/list"})
        wait_until(lambda: client.waits_for_its_remote)
        with scripted(port=port) as remote:
            assert [client.receive()["id"], client.receive()["id"]] == [1, 2]
            assert remote.methods() == ["initialize", "notifications/initialized", "tools/list"]


def test_a_load_balancer_without_backends_is_waited_for_as_well() -> None:
    with scripted() as remote, bridge(remote.url) as client:
        remote.script = lambda asked: asked.answer(503) if len(remote.asked) < 3 else asked.result()
        assert client.ask(OPENINGS["initialize"])["result"]


def test_a_client_that_gave_up_on_initialize_still_gets_a_session_with_its_next_call() -> None:
    port = free_port()
    with bridge(f"http://127.0.0.1:{port}/mcp", patience=0) as client:
        assert client.ask(OPENINGS["initialize"])["error"]
        with scripted(port=port) as remote:
            client.send(call(2, {}), call(3, {}), call(4, {}))
            assert all("result" in client.receive() for _ in range(3))
            assert remote.methods() == ["initialize", "notifications/initialized", *["tools/call"] * 3]


def test_a_remote_killed_in_a_call_and_started_again(mortal: SdkRemote, mode: str, modern: str) -> None:
    with bridge(mortal.url) as client:
        if modern == "legacy":
            client.initialize()
        assert client.ask(call(1, {"tag": "before"}, modern))["result"]
        client.send(call(2, {"tag": "lost", "seconds": 3600}, modern, token="t"))
        mortal.wait_for("begun lost")
        mortal.kill()
        message = client.answer_to(2)["error"]["message"]
        assert MAY_HAVE_RUN in message
        message = client.ask(call(3, {}, modern))["error"]["message"]
        assert "cannot be reached: connection refused. Nothing was sent." in message
        mortal.start()
        assert client.ask(call(4, {"tag": "after"}, modern))["result"]["content"][0]["text"] == "after"


class Forgetful:
    """A stateful remote that can forget its sessions."""

    def __init__(self) -> None:
        self.session = 0
        self.known = True
        self.always = False

    def __call__(self, asked: Asked) -> None:
        if asked.verb != "POST":
            return asked.answer(405)
        if asked.message["method"] == "initialize":
            self.session += 1
            self.known = not self.always
            return asked.result(Mcp_Session_Id=f"s{self.session}")
        if self.known and asked.headers.get("mcp-session-id") == f"s{self.session}":
            return asked.result()
        body = b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}'
        return asked.answer(404, body)


def test_a_lost_session_is_opened_once_for_all_calls_and_each_call_sent_again() -> None:
    forgetful = Forgetful()
    with scripted(forgetful) as remote, bridge(remote.url) as client:
        client.initialize()
        client.ask({"id": 1, "method": "tools/list"})
        forgetful.session += 100
        client.send(*(call(number, {}) for number in range(10, 20)))
        answers = [client.receive() for _ in range(10)]
    assert all("result" in each for each in answers)
    assert remote.methods().count("initialize") == 2
    replayed = [asked for asked in remote.asked if asked.verb == "POST" and asked.message["method"] == "initialize"]
    assert replayed[0].body == replayed[1].body
    assert "mcp-session-id" not in replayed[1].headers


def test_what_the_remote_says_on_its_own_is_heard_in_the_new_session_too() -> None:
    forgetful, over = Forgetful(), threading.Event()

    def script(asked: Asked) -> None:
        if asked.verb != "GET":
            return forgetful(asked)
        session = asked.headers["mcp-session-id"]
        asked.stream()(event({"jsonrpc": "2.0", "method": f"notifications/{session}"}))
        over.wait(GUARD)
        return None

    with scripted(script) as remote, bridge(remote.url) as client:
        client.initialize()
        assert client.receive()["method"] == "notifications/s1"
        forgetful.session = 7
        client.send(call(1, {}))
        assert {client.receive().get("method"), client.receive().get("method")} == {None, "notifications/s8"}
        over.set()


def test_a_session_lost_over_and_over_is_an_error_and_no_loop() -> None:
    forgetful = Forgetful()
    with scripted(forgetful) as remote, bridge(remote.url) as client:
        client.initialize()
        client.ask({"id": 1, "method": "tools/list"})
        forgetful.known, forgetful.always = False, True
        message = client.ask(call(2, {}))["error"]["message"]
        assert "lost the new one at once. The request was not carried out." in message
        forgetful.known, forgetful.always = True, False
        assert client.ask(call(3, {}))["result"]
    assert len(remote.asked) < 15


def test_a_session_that_cannot_be_opened_anew_says_why() -> None:
    forgetful = Forgetful()
    with scripted(forgetful) as remote, bridge(remote.url) as client:
        client.initialize()
        client.ask({"id": 1, "method": "tools/list"})
        remote.script = lambda asked: asked.answer(401 if asked.message["method"] == "initialize" else 404)
        assert "CYBERUN_API_KEY" in client.ask(call(2, {}))["error"]["message"]
        remote.script = forgetful
        assert client.ask(call(3, {}))["result"]


def test_a_remote_that_is_slow_is_waited_for() -> None:
    release = threading.Event()

    def slow(asked: Asked) -> None:
        release.wait(GUARD)
        asked.result()

    with scripted(slow) as remote, bridge(remote.url, patience=0) as client:
        client.send(OPENINGS["initialize"])
        wait_until(lambda: remote.asked != [])
        release.set()
        assert client.receive()["result"]
    assert len(remote.asked) == 1
