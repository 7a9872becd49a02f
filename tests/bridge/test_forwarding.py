"""The bridge forwards the messages of both eras byte for byte."""

import base64
import json
import sys
import threading
import time
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from tests.bridge.client import ENVELOPE, KEY, bridge, call, clean_environment
from tests.bridge.remotes import ReceivedRequest, SdkRemote, event, scripted
from tests.waiting import GUARD


async def test_an_sdk_client_sees_the_remote_unchanged(stateless: SdkRemote, stateful: SdkRemote, era: str) -> None:
    for remote in (stateless, stateful):
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "cyberun_mcp", "bridge", remote.url], env=clean_environment()
        )
        received: list[tuple[object, ...]] = []

        async def on_progress(
            progress: float, total: float | None, message: str | None, into: list[tuple[object, ...]] = received
        ) -> None:
            into.append((progress, total, message))

        async with Client(command, mode=era) as client:
            assert client.server_info is not None
            assert (client.server_info.name, client.server_info.version) == ("remote", "9.8.7")
            assert client.server_info.title == "The Remote"
            assert client.instructions == "Be kind."
            [tool] = (await client.list_tools()).tools
            assert tool.annotations is not None
            assert tool.annotations.title == "Do it"
            assert tool.annotations.open_world_hint is False
            assert tool.meta == {"example.com/kept": [1, 2]}
            result = await client.call_tool("do", {"progress": 3, "tag": "t"}, progress_callback=on_progress)
        assert result.meta is not None
        assert result.meta["example.com/tag"] == "t"
        assert received == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


def test_unknown_methods_and_unusual_json_are_forwarded_unchanged() -> None:
    request = (
        b'{ "jsonrpc":"2.0" ,"id":"\\u00e9\xc3\xa9", "method":"odd","params":{"n":1.0,"big":12345678901234567890}}'
    )
    response = b'{"result" : {"\\u0041":1e2, "_meta":{"a/b":null}}, "more":[ ], "id":"\\u00e9\xc3\xa9","jsonrpc":"2.0"}'
    with scripted(lambda received: received.respond(200, response)) as remote, bridge(remote.url) as client:
        client.write(request + b"\r\n")
        assert client.read_line() == response + b"\n"
    assert remote.received[0].body == request


def test_json_with_line_breaks_becomes_one_line() -> None:
    pretty = b'{\n  "jsonrpc": "2.0",\r\n  "id": 1,\n  "result": {"text": "a\\nb"}\n}\n'
    with scripted(lambda request: request.respond(200, pretty)) as remote, bridge(remote.url) as client:
        assert client.request({"id": 1, "method": "ping"})["result"] == {"text": "a\nb"}


@pytest.mark.parametrize("token", [7, "seven"])
def test_progress_arrives_immediately_with_its_token(
    sdk_remote: SdkRemote, mode: str, call_era: str, token: int | str, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    with bridge(sdk_remote.url) as client:
        if call_era == "legacy":
            client.initialize()
        client.send(call(1, {"progress": 3, "until": str(release)}, call_era, token))
        progress = [client.receive()["params"] for _ in range(3)]
        assert [params["progressToken"] for params in progress] == [token] * 3
        assert [params["progress"] for params in progress] == [1, 2, 3]
        release.touch()
        assert "result" in client.receive()


def test_a_hundred_calls_run_in_parallel(sdk_remote: SdkRemote, call_era: str, tmp_path: Path) -> None:
    release, calls = tmp_path / "release", range(1, 101)
    with bridge(sdk_remote.url) as client:
        if call_era == "legacy":
            client.initialize()
        client.send(*(call(number, {"until": str(release), "tag": str(number)}, call_era) for number in calls))
        begun: set[str] = set()
        while begun < {f"begun {number}" for number in calls}:
            begun.add(sdk_remote.output_lines.get(timeout=GUARD))
        release.touch()
        responses = [client.receive() for _ in calls]
    assert {response["id"] for response in responses} == set(calls)
    assert all(response["result"]["content"][0]["text"] == str(response["id"]) for response in responses)


def test_a_result_of_two_megabytes_arrives_complete(sdk_remote: SdkRemote, call_era: str) -> None:
    with bridge(sdk_remote.url) as client:
        if call_era == "legacy":
            client.initialize()
        response = client.request(call(1, {"size": 2_000_000}, call_era))
    assert len(response["result"]["content"][0]["text"]) == 2_000_000


def test_2025_messages_have_headers_for_the_version_and_the_session_of_initialize() -> None:
    def script(request: ReceivedRequest) -> None:
        request.send_result(Mcp_Session_Id="the-session") if request.message[
            "method"
        ] == "initialize" else request.send_result()

    with scripted(script) as remote, bridge(remote.url) as client:
        client.initialize()
        client.request({"id": 1, "method": "tools/list"})
    initialize, *others = (request for request in remote.received if request.http_method == "POST")
    assert "mcp-session-id" not in initialize.headers
    assert len(others) == 2
    for request in others:
        assert request.headers["mcp-session-id"] == "the-session"
        assert request.headers["mcp-protocol-version"] == "2025-11-25"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["accept"] == "application/json, text/event-stream"
        assert "mcp-method" not in request.headers


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "plain"}, "plain"),
        ("prompts/get", {"name": "höflich"}, "=?base64?" + base64.b64encode("höflich".encode()).decode() + "?="),
        ("resources/read", {"uri": " x:y"}, "=?base64?" + base64.b64encode(b" x:y").decode() + "?="),
        ("tools/call", {"name": "=?base64?eA==?="}, "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
        ("tools/call", {"name": "a\r\nX-Injected: 1"}, "=?base64?YQ0KWC1JbmplY3RlZDogMQ==?="),
        ("tools/list", {}, None),
    ],
)
def test_2026_messages_have_headers_for_their_version_method_and_name(
    method: str, params: dict[str, str], name: str | None
) -> None:
    with scripted() as remote, bridge(remote.url) as client:
        client.request({"id": 1, "method": method, "params": {**params, "_meta": ENVELOPE}})
    [request] = remote.received
    assert request.headers["mcp-protocol-version"] == "2026-07-28"
    assert request.headers["mcp-method"] == method
    assert request.headers.get("mcp-name") == name
    assert "x-injected" not in request.headers


def test_arguments_with_x_mcp_header_are_repeated_in_headers() -> None:
    nested = {"type": "object", "properties": {"deep": {"type": "boolean", "x-mcp-header": "Deep"}}}
    properties = {"region": {"type": "string", "x-mcp-header": "Region"}, "n": {"type": "integer"}, "in": nested}
    tool = {"name": "do", "inputSchema": {"type": "object", "properties": properties}}

    def script(request: ReceivedRequest) -> None:
        body = {"jsonrpc": "2.0", "id": request.message["id"], "result": {"tools": [tool]}}
        request.respond(200, json.dumps(body).encode())

    with scripted(script) as remote, bridge(remote.url) as client:
        client.request({"id": 1, "method": "tools/list", "params": {"_meta": ENVELOPE}})
        client.request(call(2, {"region": "Zürich", "n": 3, "in": {"deep": True}}, "auto"))
        client.request(call(3, {"n": 3}, "auto"))
    parameter_headers = [
        {name: value for name, value in request.headers.items() if name.startswith("mcp-param-")}
        for request in remote.received[1:]
    ]
    encoded = "=?base64?" + base64.b64encode("Zürich".encode()).decode() + "?="
    assert parameter_headers == [{"mcp-param-region": encoded, "mcp-param-deep": "true"}, {}]


def test_a_stream_that_the_remote_ends_by_design_is_resumed_where_it_ended() -> None:
    def script(request: ReceivedRequest) -> None:
        if request.http_method == "GET" and request.headers.get("last-event-id") == "e1":
            return request.start_stream()(b"id: e2\n" + event({"jsonrpc": "2.0", "id": 5, "result": {"late": True}}))
        if request.http_method == "GET":
            return request.respond(405)
        if request.message["method"] == "tools/call":
            return request.start_stream()(b"id: e1\nretry: 20\ndata:\n\n")
        return request.send_result(Mcp_Session_Id="s")

    with scripted(script) as remote, bridge(remote.url) as client:
        client.initialize()
        assert client.request(call(5, {}))["result"] == {"late": True}
    assert remote.methods().count("tools/call") == 1


def test_messages_written_at_once_are_sent_in_order() -> None:
    def slow(request: ReceivedRequest) -> None:
        time.sleep(0.1 if request.message["method"] in ("initialize", "notifications/initialized") else 0)
        request.send_result()

    with scripted(slow) as remote, bridge(remote.url) as client:
        client.send(
            {"id": 1, "method": "initialize", "params": {}},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/list"},
            {"id": 3, "method": "server/discover", "params": {"_meta": ENVELOPE}},
        )
        assert {client.receive()["id"] for _ in range(3)} == {1, 2, 3}
    old_era = [method for method in remote.methods() if method != "server/discover"]
    assert old_era == ["initialize", "notifications/initialized", "tools/list"]


def test_an_error_without_an_id_gets_the_id_of_its_request() -> None:
    body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"HeaderMismatch","data":{"x":1}}}'
    with scripted(lambda request: request.respond(400, body)) as remote, bridge(remote.url) as client:
        response = client.request({"id": "mine", "method": "tools/list"})
    assert response["error"] == {"code": -32020, "message": "HeaderMismatch", "data": {"x": 1}}


def test_unsolicited_messages_of_the_remote_reach_the_client() -> None:
    notification = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}

    def script(request: ReceivedRequest) -> None:
        if request.http_method == "GET":
            request.start_stream()(b"id: 7\nretry: 10\n" + event(notification))
        else:
            request.send_result(Mcp_Session_Id="s")

    with scripted(script) as remote, bridge(remote.url) as client:
        client.initialize()
        assert client.receive() == notification
        assert client.receive() == notification
    first, second, *_ = (request for request in remote.received if request.http_method == "GET")
    assert (first.headers["mcp-session-id"], first.headers.get("last-event-id")) == ("s", None)
    assert second.headers["last-event-id"] == "7"


def test_a_request_of_the_remote_reaches_the_client_and_the_response_goes_back() -> None:
    remote_request = {"jsonrpc": "2.0", "id": 99, "method": "elicitation/create", "params": {}}
    answered = threading.Event()

    def script(request: ReceivedRequest) -> None:
        if "method" not in request.message:
            answered.set()
            return request.respond(202)
        send = request.start_stream()
        send(event(remote_request))
        assert answered.wait(GUARD)
        send(event({"jsonrpc": "2.0", "id": request.message["id"], "result": {}}))
        return None

    with scripted(script) as remote, bridge(remote.url) as client:
        client.send(call(5, {}))
        assert client.receive() == remote_request
        client.send({"id": 99, "result": {"action": "decline"}})
        assert client.receive()["id"] == 5
    assert remote.received[-1].message == {"jsonrpc": "2.0", "id": 99, "result": {"action": "decline"}}
