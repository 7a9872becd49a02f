"""An answered call leaves nothing in memory that waits for a garbage collection."""

import gc
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from cyberun_mcp.endpoint import EndpointSettings
from cyberun_mcp.settings import Settings
from cyberun_mcp.transports.http import Application
from tests.endpoint.calls import request
from tests.fake_platform import BASE_URL, FakePlatform
from tests.transports.neighbours import caller_of

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
    platform.on("GET", "/r/tasks/lame", TASK)
    platform.on("GET", "/r/tasks/lame/result", {"task_output": {}})
    application = Application(Settings(base_url=BASE_URL), EndpointSettings(), transport=platform.transport())

    async def calls(many: int) -> None:
        for _ in range(many):
            await client.post("/mcp", **request(era, tool, arguments, progressToken="t"))
        platform.requests.clear()

    async with application.running(), caller_of(application.asgi) as client:
        assert await garbage_of(calls) < CALLS


async def test_a_refused_request_leaves_no_cyclic_garbage(platform: FakePlatform, era: str) -> None:
    application = Application(Settings(base_url=BASE_URL), EndpointSettings(), transport=platform.transport())

    async def calls(many: int) -> None:
        for _ in range(many):
            answer = await client.post("/mcp", **request(era, "list_workflows", key="no-key"))
            assert answer.status_code == httpx2.codes.UNAUTHORIZED

    async with caller_of(application.asgi) as client:
        assert await garbage_of(calls) < CALLS
