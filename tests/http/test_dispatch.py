"""One POST, one answer: what is refused, what comes as JSON and what as events, and what ends a call."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import httpx2
import mcp_types
import pytest
from starlette.types import Message

from cyberun_mcp.http import dispatch
from tests.http.in_memory import caller_of
from tests.http.one_tool_server import Stage
from tests.http.processes.calls import messages_of, request
from tests.properties.virtual_clock import run_at_once
from tests.waiting import GUARD

BOTH = "application/json, text/event-stream"
JSON = {"Accept": BOTH, "Content-Type": "application/json"}
LATEST = {"MCP-Protocol-Version": "2026-07-28"}


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[httpx2.AsyncClient]:
    async with caller_of(stage.asgi) as client:
        yield client


async def test_an_answer_nothing_was_told_before_is_plain_json(client: httpx2.AsyncClient, era: str) -> None:
    answer = await client.post("/mcp", **request(era, "any", {"steps": 3}))
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"]["content"] == []


@pytest.mark.parametrize("token", ["t", 7])
async def test_who_asks_for_progress_gets_it_as_events_and_the_answer_last(
    client: httpx2.AsyncClient, era: str, token: str | int
) -> None:
    answer = await client.post("/mcp", **request(era, "any", {"steps": 3}, progressToken=token))
    *told, reply = messages_of(answer)
    assert [each["params"]["progress"] for each in told] == [1, 2, 3]
    assert [each["params"]["message"] for each in told] == ["step 1", "step 2", "step 3"]
    assert all(each["params"]["progressToken"] == token and each["params"]["total"] == 10 for each in told)
    assert reply["result"]["content"] == []
    assert answer.headers["x-accel-buffering"] == "no"


def test_a_silent_call_shows_that_it_is_alive(era: str) -> None:
    async def play() -> httpx2.Response:
        async with caller_of(Stage().asgi) as client:
            return await client.post("/mcp", **request(era, "any", {"seconds": 3.5 * dispatch.KEEP_ALIVE_SECONDS}))

    answer = run_at_once(play)
    assert answer.text.startswith(3 * ": ping\r\n\r\n")
    assert answer.text.count(": ping") == 3
    assert messages_of(answer)[-1]["result"]["content"] == []


async def test_what_nobody_foresaw_keeps_its_text_to_itself(
    client: httpx2.AsyncClient, era: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.post("/mcp", **request(era, "any", {"fail": "the secret"}))
    assert answer.json()["error"] == {"code": -32603, "message": "Internal server error"}
    assert "the secret" in caplog.text


async def test_an_unknown_method_is_told_apart_from_a_failed_one(client: httpx2.AsyncClient, era: str) -> None:
    sent = request(era, "any")
    sent["json"]["method"] = "prompts/list"
    sent["headers"].pop("Mcp-Name", None)
    if era == "auto":
        sent["headers"]["Mcp-Method"] = "prompts/list"
    answer = await client.post("/mcp", **sent)
    assert answer.json()["error"]["code"] == mcp_types.METHOD_NOT_FOUND
    assert answer.status_code == (404 if era == "auto" else 200)  # 2026-07-28 wants it in the status


async def test_initialize_negotiates_the_version_and_leaves_no_session(client: httpx2.AsyncClient) -> None:
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    hello = {"jsonrpc": "2.0", "id": "a", "method": "initialize", "params": params}
    answer = await client.post("/mcp", json=hello, headers=JSON)
    assert answer.json()["result"]["protocolVersion"] == "2025-06-18"
    assert "mcp-session-id" not in answer.headers
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await client.post("/mcp", json=ready, headers=JSON)).status_code == 202


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Accept": "text/html"}, 406),
        ({"Accept": "application/json"}, 406),
        ({"Accept": BOTH, "Content-Type": "text/plain"}, 415),
        ({"Accept": BOTH, "Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_what_no_client_would_send_is_refused_unread(
    client: httpx2.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await client.post("/mcp", content=b"{}", headers=JSON | headers)
    assert answer.status_code == status
    assert "must" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", mcp_types.PARSE_ERROR),
        (b"{", mcp_types.PARSE_ERROR),
        (b"\xff", mcp_types.PARSE_ERROR),
        (b"[" * 100_000, mcp_types.PARSE_ERROR),
        (b"7", mcp_types.INVALID_REQUEST),
        (b"[]", mcp_types.INVALID_REQUEST),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', mcp_types.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', mcp_types.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', mcp_types.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', mcp_types.INVALID_REQUEST),
        (b'{"jsonrpc":"1.0","method":"notifications/cancelled"}', mcp_types.INVALID_REQUEST),
        (b'{"id":1}', mcp_types.INVALID_REQUEST),
    ],
)
@pytest.mark.parametrize("version", [{}, LATEST])
async def test_what_is_no_single_message_is_told_so(
    client: httpx2.AsyncClient, body: bytes, code: int, version: dict[str, str]
) -> None:
    answer = await client.post("/mcp", content=body, headers=JSON | version)
    assert answer.status_code == 400
    assert answer.json()["id"] is None
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(("version", "status"), [("2025-03-26", 202), ("2026-07-28", 202), ("2031-01-01", 400)])
async def test_a_notification_is_acknowledged_at_every_version_served(
    client: httpx2.AsyncClient, version: str, status: int
) -> None:
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    answer = await client.post("/mcp", json=cancelled, headers=JSON | {"MCP-Protocol-Version": version})
    assert answer.status_code == status
    assert status == 202 or answer.json()["error"]["data"]["supported"] == ["2026-07-28"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Mcp-Method": "tools/list"}, mcp_types.HEADER_MISMATCH),
        ({"Mcp-Name": "other"}, mcp_types.HEADER_MISMATCH),
        ({"MCP-Protocol-Version": "2031-01-01"}, mcp_types.HEADER_MISMATCH),
    ],
)
async def test_headers_and_body_must_be_of_one_mind(
    client: httpx2.AsyncClient, change: dict[str, str], code: int
) -> None:
    sent = request("auto", "any")
    answer = await client.post("/mcp", json=sent["json"], headers=sent["headers"] | change)
    assert answer.status_code == 400
    assert answer.json()["id"] == sent["json"]["id"]
    assert answer.json()["error"]["code"] == code


async def test_a_header_that_stands_twice_is_refused(client: httpx2.AsyncClient) -> None:
    sent = request("auto", "any")
    headers = [*sent["headers"].items(), ("mcp-name", "any")]
    answer = await client.post("/mcp", json=sent["json"], headers=headers)
    assert answer.status_code == 400
    assert "more than once" in answer.json()["error"]["message"]


Send = Callable[[Message], Awaitable[None]]


async def played(
    stage: Stage, era: str, send: Send, then: Callable[[], Awaitable[None]], seconds: float = 3600, **meta: Any
) -> None:
    """Send a call, and when `then` has ended, hang up."""
    sent = request(era, "any", {"seconds": seconds, "steps": 1}, **meta)
    headers = [(name.lower().encode(), value.encode()) for name, value in (sent["headers"] | JSON).items()]
    pieces = iter([json.dumps(sent["json"]).encode()])

    async def receive() -> Message:
        body = next(pieces, None)
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await then()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers, "query_string": b""}
    with anyio.fail_after(GUARD):
        await stage.asgi(scope, receive, send)


async def test_a_client_that_hangs_up_ends_its_call(stage: Stage, era: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await played(stage, era, send, stage.begun.wait)
    assert stage.cancelled.is_set()
    assert sent == []


async def test_a_call_that_is_cut_while_it_streams_is_told_so(stage: Stage, era: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 2:
            call.cancel()

    with anyio.CancelScope() as call:
        await played(stage, era, send, anyio.sleep_forever, progressToken="t")
    assert stage.cancelled.is_set()
    assert "had to end before the call did" in sent[-1]["body"].decode()
    assert sent[-1]["more_body"] is False


async def test_an_answer_that_is_there_when_the_call_is_cut_still_goes_out(stage: Stage, era: str) -> None:
    """It may hold the id of a task that has just been paid for."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def cut_at_the_end() -> None:
        await stage.ended.wait()
        call.cancel()

    with anyio.CancelScope() as call:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cut_at_the_end)
            await played(stage, era, send, anyio.sleep_forever, seconds=0.05)
    assert call.cancelled_caught
    assert json.loads(sent[-1]["body"])["result"]["content"] == []


async def test_a_client_that_hangs_up_before_its_request_is_whole_leaves_no_trace(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in JSON.items()]
    await stage.asgi({"type": "http", "method": "POST", "path": "/mcp", "headers": headers}, receive, send)
    assert not caplog.records


async def test_half_an_emoji_in_an_argument_is_no_reason_to_refuse_the_request(
    client: httpx2.AsyncClient, era: str
) -> None:
    sent = request(era, "any", {"prompt": "cut in two: \ud83d"})
    body = json.dumps(sent["json"]).encode()
    answer = await client.post("/mcp", content=body, headers=sent["headers"] | JSON)
    assert answer.json()["id"] == sent["json"]["id"]
    assert answer.json()["result"]["content"] == []


async def test_a_client_that_does_not_read_cannot_keep_a_cut_call_alive(
    stage: Stage, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LAST_MESSAGE_SECONDS", 0.05)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 2:
            call.cancel()
        if len(sent) > 2:
            await anyio.sleep_forever()

    with anyio.CancelScope() as call:
        await played(stage, era, send, anyio.sleep_forever, progressToken="t")
    assert stage.cancelled.is_set()
