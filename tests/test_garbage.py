"""An answered call leaves nothing in memory that waits for a garbage collection."""

import gc
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import httpx2
import pytest
from starlette.types import ASGIApp, Message

from cyberun_mcp.http.app import HttpApp
from cyberun_mcp.http.settings import HttpSettings
from cyberun_mcp.settings import Settings
from tests.fake_platform import BASE_URL, FakePlatform
from tests.http.in_memory import caller_of
from tests.http.processes.calls import request

CALLS = 20
TASK = {"id": "t", "task_status": "completed"}
STEP = {"progress": 0.5, "step_current": 1, "step_total": 2}


async def garbage_of(calls: Callable[[int], Awaitable[None]]) -> int:
    """How many objects only a collection could free after CALLS calls."""
    await calls(2)  # what is made once and kept, and the models of the arguments
    gc.collect()
    gc.disable()
    try:
        await calls(CALLS)
        return gc.collect()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_workflows", {}),
        ("get_task", {"task_id": "t"}),
        ("get_task", {"task_id": "unknown"}),
        ("get_task", {"odd": "argument"}),
        ("stream_task_events", {"task_id": "t"}),
        ("stream_task_events", {"task_id": "lame"}),
        ("stream_task_events", {"task_id": "unknown"}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value.values()), ""),
)
async def test_a_call_over_http_leaves_no_cyclic_garbage(
    platform: FakePlatform, era: str, tool: str, arguments: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "cyberun_mcp")  # a captured record keeps the error it tells of
    platform.on("GET", "/r/workflows", {"workflow_list": []})
    platform.on("GET", "/r/tasks/t", TASK)
    platform.on_events("t", ("progress", STEP), ("completed", {"status": "completed", "output": {"image_count": 1}}))
    platform.on("GET", "/r/tasks/lame/events", {"error_message": "no events here"}, status=503)
    platform.on("GET", "/r/tasks/lame", {**TASK, "id": "lame"})
    platform.on("GET", "/r/tasks/lame/result", {"task_output": {}})
    application = HttpApp(Settings(base_url=BASE_URL), HttpSettings(), transport=platform.transport())

    async def calls(many: int) -> None:
        for _ in range(many):
            await client.post("/mcp", **request(era, tool, arguments, progressToken="t"))
        platform.requests.clear()

    async with application.running(), caller_of(application.asgi) as client:
        assert await garbage_of(calls) < CALLS


async def test_a_refused_request_leaves_no_cyclic_garbage(platform: FakePlatform, era: str) -> None:
    application = HttpApp(Settings(base_url=BASE_URL), HttpSettings(), transport=platform.transport())

    async def calls(many: int) -> None:
        for _ in range(many):
            answer = await client.post("/mcp", **request(era, "list_workflows", key="no-key"))
            assert answer.status_code == httpx2.codes.UNAUTHORIZED

    async with caller_of(application.asgi) as client:
        assert await garbage_of(calls) < CALLS


async def test_a_wait_whose_client_hangs_up_leaves_no_cyclic_garbage(platform: FakePlatform, era: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'event: progress\ndata: {"progress": 0.5}\n\n'
        await anyio.sleep_forever()

    events = {"Content-Type": "text/event-stream"}
    platform.on("GET", "/r/tasks/t/events", lambda _: httpx2.Response(200, content=endless(), headers=events))
    application = HttpApp(Settings(base_url=BASE_URL), HttpSettings(), transport=platform.transport())

    async def calls(many: int) -> None:
        for _ in range(many):
            await hung_up(application.asgi, request(era, "stream_task_events", {"task_id": "t"}, progressToken="t"))
        platform.requests.clear()

    async with application.running():
        assert await garbage_of(calls) < CALLS


async def hung_up(app: ASGIApp, sent: dict[str, Any]) -> None:
    """Send a request, and hang up as soon as it is answered with anything but an empty body."""
    body = json.dumps(sent["json"]).encode()
    named = {**sent["headers"], "Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": len(body)}
    headers = [(name.lower().encode(), str(value).encode()) for name, value in named.items()]
    pieces, answered = iter([body]), anyio.Event()

    async def receive() -> Message:
        piece = next(pieces, None)
        if piece is not None:
            return {"type": "http.request", "body": piece, "more_body": False}
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message.get("body"):
            answered.set()

    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers, "query_string": b""}
    with anyio.fail_after(30):
        await app(scope, receive, send)
    assert answered.is_set()
