"""What becomes of the calls in flight when a connection over stdio ends, on a clock of its own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCResponse, jsonrpc_message_adapter

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings
from cyberun_mcp.stdio.ending import Ending
from cyberun_mcp.stdio.eras import serve_both_eras
from cyberun_mcp.tools.in_flight_calls import CallsInFlight
from tests.fake_platform import BASE_URL, KEY
from tests.properties.virtual_clock import run_at_once
from tests.stdio.process import META

ERAS = ["2025-11-25", "2026-07-28"]
CLOSED = "Connection closed"
UNKNOWN = "The run was sent, but whether it was accepted is unknown."


async def slow_platform(request: httpx2.Request) -> httpx2.Response:
    """Takes as many seconds as the last part of a name says: `x-4` four, and `x-never` for ever."""
    name = next(part for part in reversed(request.url.path.split("/")) if "-" in part)
    if "connecting" not in name:
        await request.extensions["trace"]("http11.send_request_headers.started", {})
    seconds = name.rpartition("-")[2]
    await anyio.sleep(float("inf") if seconds == "never" else float(seconds))
    if request.url.path.endswith("/run"):
        return httpx2.Response(202, json={"task_id": f"task-of-{name}"})
    return httpx2.Response(200, json={"id": name, "task_status": "running"})


class Silence(httpx2.AsyncByteStream):
    """An event stream that says one thing and then nothing more."""

    async def __aiter__(self) -> Any:
        yield b'event: status\ndata: {"status": "running"}\n\n'
        await anyio.sleep_forever()


async def platform(request: httpx2.Request) -> httpx2.Response:
    if not request.url.path.endswith("/events"):
        return await slow_platform(request)
    if "mute" in request.url.path:
        await anyio.sleep_forever()
    return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Silence())


@dataclass
class Conversation:
    """A client's side: what it says, and when which answer came."""

    era: str
    to_server: MemoryObjectSendStream[SessionMessage | Exception]
    ending: Ending
    answers: dict[int, str] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)
    ended: float = 0.0

    async def say(self, **message: Any) -> None:
        if self.era == "2026-07-28" and "id" in message:
            message["params"] = {**message["params"], "_meta": META}
        read = jsonrpc_message_adapter.validate_python({"jsonrpc": "2.0", **message}, by_name=False)
        await self.to_server.send(SessionMessage(read))

    async def call(self, number: int, tool: str, **arguments: Any) -> None:
        await self.say(id=number, method="tools/call", params={"name": tool, "arguments": arguments})

    async def run(self, number: int, workflow: str) -> None:
        await self.call(number, "run_workflow_by_slug", workflow_slug=workflow, body={})

    async def listen(self, from_server: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async for item in from_server:
            if isinstance(item.message, JSONRPCResponse | JSONRPCError):
                assert isinstance(item.message.id, int)
                assert item.message.id not in self.answers
                self.answers[item.message.id] = item.message.model_dump_json()
                self.times[item.message.id] = round(anyio.current_time(), 1)
        self.ended = round(anyio.current_time(), 1)

    def outcome(self, number: int) -> tuple[float, str]:
        """When a call was answered, and the one of these texts that the answer has."""
        texts = (CLOSED, UNKNOWN, "task-of-", "task_status")
        return self.times[number], next(text for text in texts if text in self.answers[number])


def converse(era: str, story: Callable[[Conversation], Awaitable[None]]) -> Conversation:
    """Play `story` to a server, end the input after it, and see what comes of it."""

    async def program() -> Conversation:
        in_flight = CallsInFlight()
        server = build_server(
            Settings(base_url=BASE_URL, call_timeout=59, request_timeout=59),
            lambda _: credential_from(KEY),
            httpx2.MockTransport(platform),
            in_flight=in_flight,
        )
        to_server, read = anyio.create_memory_object_stream[SessionMessage | Exception](100)
        write, from_server = anyio.create_memory_object_stream[SessionMessage](100)
        ending = Ending(in_flight, to_server.close)
        client = Conversation(era, to_server, ending)
        async with to_server, read, write, from_server, anyio.create_task_group() as tasks:
            tasks.start_soon(client.listen, from_server)
            tasks.start_soon(serve_both_eras, server, ending.reading(read), ending.writing(write))
            if era == "2025-11-25":
                introduction = {"clientInfo": {"name": "t", "version": "1"}, "capabilities": {}}
                await client.say(id=0, method="initialize", params={"protocolVersion": era, **introduction})
            await story(client)
            to_server.close()
        return client

    return run_at_once(program)


@pytest.mark.parametrize("era", ERAS)
def test_at_the_end_of_input_calls_get_five_seconds(era: str) -> None:
    async def story(client: Conversation) -> None:
        await client.call(1, "get_task", task_id="task-0")
        await client.call(2, "get_task", task_id="task-4.9")
        await client.call(3, "get_task", task_id="task-6")
        await client.run(4, "fox-4.9")
        await client.run(5, "fox-6")
        await client.run(6, "connecting-6")

    client = converse(era, story)
    assert client.outcome(1) == (0.0, "task_status")
    assert client.outcome(2) == (4.9, "task_status")
    assert client.outcome(4) == (4.9, "task-of-")
    assert client.outcome(5) == (5.0, UNKNOWN)
    assert "fox-6" in client.answers[5]
    for number in (3, 6):
        assert client.outcome(number) == (5.2, CLOSED)


@pytest.mark.parametrize("era", ERAS)
def test_the_end_comes_as_soon_as_all_is_answered(era: str) -> None:
    async def story(client: Conversation) -> None:
        await client.call(1, "get_task", task_id="task-1")
        await client.call(2, "get_task", task_id="task-never")
        await client.say(method="notifications/cancelled", params={"requestId": 2})

    client = converse(era, story)
    assert client.outcome(1) == (1.0, "task_status")
    assert 2 not in client.answers
    assert client.ended == 1.0


@pytest.mark.parametrize("era", ERAS)
def test_at_the_end_of_input_waits_answer_with_what_they_know(era: str) -> None:
    async def story(client: Conversation) -> None:
        await client.call(1, "stream_task_events", task_id="before-3")
        await anyio.sleep(10)
        await client.call(2, "stream_task_events", task_id="after-1")
        await client.call(3, "stream_task_events", task_id="mute-never")

    client = converse(era, story)
    for number, learned in ((1, 10.0), (2, 11.0)):
        assert '"terminal":false,"timed_out":true' in client.answers[number].replace("\\", "")
        assert client.times[number] < learned + 0.5  # the last progress comes first, and a pause after it
    assert "untouched by this and may well be running" in client.answers[3]
    assert client.times[3] < 12.5


@pytest.mark.parametrize("era", ERAS)
def test_at_a_signal_sent_runs_get_two_seconds_and_all_else_ends(era: str) -> None:
    async def story(client: Conversation) -> None:
        await client.run(1, "fox-4.9")
        await client.run(2, "fox-6")
        await client.run(3, "connecting-4")
        await client.call(4, "get_task", task_id="task-4")
        await client.call(5, "stream_task_events", task_id="task-4")
        await anyio.sleep(3)
        client.ending.soon()
        client.ending.soon()  # some clients send two signals

    client = converse(era, story)
    assert client.outcome(1) == (4.9, "task-of-")
    assert client.outcome(2) == (5.0, UNKNOWN)
    for number in (3, 4, 5):
        assert client.outcome(number) == (3.0, CLOSED)
    assert client.ended == 5.0


@pytest.mark.parametrize("era", ERAS)
def test_a_signal_after_the_end_of_input_cuts_its_five_seconds_short(era: str) -> None:
    async def story(client: Conversation) -> None:
        await client.run(1, "fox-never")
        await client.call(2, "get_task", task_id="task-4")
        client.to_server.close()
        await anyio.sleep(1)
        client.ending.soon()

    client = converse(era, story)
    assert client.outcome(1) == (3.0, UNKNOWN)
    assert client.outcome(2) == (1.0, CLOSED)


@pytest.mark.parametrize("era", ERAS)
def test_the_log_has_every_run_that_was_sent(era: str, caplog: pytest.LogCaptureFixture) -> None:
    async def story(client: Conversation) -> None:
        await client.run(1, "answered-1")
        await client.run(2, "unknown-4")
        await client.run(3, "unsent-and-connecting-4")
        await client.run(4, "cancelled-4")
        await client.say(method="notifications/cancelled", params={"requestId": 4})
        await anyio.sleep(0.5)
        client.ending.soon()

    with caplog.at_level("INFO"):
        converse(era, story)
    told = [record.getMessage() for record in caplog.records if "workflow=" in record.getMessage()]
    unknown = "the run was sent, but whether it was accepted is unknown"
    waiting = "the run was sent, and this process waits for its answer to end"
    assert told[0] == f"workflow=cancelled-4: {unknown}"
    assert sorted(told[1:3]) == [f"workflow=answered-1: {waiting}", f"workflow=unknown-4: {waiting}"]
    assert told[3:] == ["workflow=answered-1 task=task-of-answered-1", f"workflow=unknown-4: {unknown}"]
