"""A cancelled call stops at the remote, in every way that a remote can learn about it."""

import threading
from typing import Any

import pytest

from tests.bridge.client import ENVELOPE, bridge, call
from tests.bridge.remotes import ReceivedRequest, SdkRemote, event, scripted
from tests.waiting import GUARD


def cancel(request_id: object) -> dict[str, object]:
    return {"method": "notifications/cancelled", "params": {"requestId": request_id, "reason": "enough"}}


def test_a_cancelled_call_stops_at_the_remote_and_is_not_answered(
    sdk_remote: SdkRemote, mode: str, call_era: str
) -> None:
    tag = f"cancel in {mode}"
    with bridge(sdk_remote.url) as client:
        if call_era == "legacy":
            client.initialize()
        client.send(call("c", {"seconds": 3600, "tag": tag}, call_era, token=1))
        sdk_remote.wait_for(f"begun {tag}")
        client.send(cancel("c"))
        sdk_remote.wait_for(f"cancelled {tag}")
        client.send(call(2, {}, call_era))
        following = client.receive()
        assert following["id"] == 2
        assert "result" in following


def test_the_calls_of_a_client_that_exits_are_cancelled_at_the_remote(
    sdk_remote: SdkRemote, mode: str, call_era: str
) -> None:
    tag = f"leave in {mode}"
    with bridge(sdk_remote.url) as client:
        if call_era == "legacy":
            client.initialize()
        client.send(call("c", {"seconds": 3600, "tag": tag}, call_era))
        sdk_remote.wait_for(f"begun {tag}")
        client.stdin.close()
        sdk_remote.wait_for(f"cancelled {tag}")


def test_a_2025_remote_gets_the_cancelled_notification_and_a_2026_remote_the_closed_stream() -> None:
    closed = threading.Event()

    def script(request: ReceivedRequest) -> None:
        if request.message["method"] != "tools/call":
            return request.send_result()
        send = request.start_stream()
        send(event({"jsonrpc": "2.0", "method": "notifications/message"}))
        try:
            while not closed.wait(0.01):
                send(b": still here\n\n")
        except OSError:
            closed.set()
        return None

    for era in ("legacy", "auto"):
        closed.clear()
        with scripted(script) as remote, bridge(remote.url) as client:
            client.send(call(1, {}, era))
            client.receive()
            client.send(cancel(1))
            assert closed.wait(GUARD)
            meta = {"params": {"_meta": ENVELOPE}} if era == "auto" else {}
            client.request({"id": 2, "method": "tools/list", **meta})
        assert ("notifications/cancelled" in remote.methods()) is (era == "legacy")


def test_cancelling_a_finished_or_unknown_request_has_no_effect() -> None:
    with scripted() as remote, bridge(remote.url) as client:
        client.request({"id": 1, "method": "ping"})
        client.send(cancel(1), cancel("never"), cancel(None), cancel([1]), {"method": "notifications/cancelled"})
        assert client.request({"id": 2, "method": "ping"})["result"]
    assert remote.methods() == ["ping", "ping"]


@pytest.mark.parametrize(
    ("request_id", "other"),
    [(1, True), (0, False), (1, 1.0), (1.0, 1), (1, "1"), ("1", 1), (1.0, True), ("true", True), ("null", None)],
)
@pytest.mark.parametrize("era", ["legacy", "auto"])
def test_cancelling_an_id_of_another_json_type_leaves_the_call_alone(request_id: Any, other: Any, era: str) -> None:
    release = threading.Event()

    def script(request: ReceivedRequest) -> None:
        if request.message["method"] == "tools/call":
            assert release.wait(30)
        request.send_result()

    with scripted(script) as remote, bridge(remote.url) as client:
        client.send(call(request_id, {}, era), cancel(other), {"id": "after", "method": "ping"})
        assert client.receive(20)["id"] == "after"
        release.set()
        response = client.receive(20)
        assert repr(response["id"]) == repr(request_id)
        assert response["result"]
    assert sorted(remote.methods()) == ["ping", "tools/call"]


def test_cancelling_after_the_response_is_not_forwarded_even_if_the_stream_goes_on() -> None:
    over = threading.Event()

    def keep_streaming(request: ReceivedRequest) -> None:
        send = request.start_stream()
        send(event({"jsonrpc": "2.0", "id": request.message["id"], "result": {}}))
        over.wait(GUARD)

    with scripted(keep_streaming) as remote, bridge(remote.url) as client:
        client.request({"id": 1, "method": "ping"})
        client.send(cancel(1))
        assert client.request({"id": 1, "method": "ping"})["result"] == {}
        over.set()
    assert remote.methods() == ["ping", "ping"]
