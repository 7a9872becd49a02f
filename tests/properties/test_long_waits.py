"""An hour of waiting under constant trouble, on a clock that jumps: no overflow, no haste, no silence."""

from itertools import pairwise
from typing import Any

import anyio
import httpx2
import pytest
from mcp_types import CallToolResult

from tests.fake_platform import FakePlatform, connected, structured
from tests.properties.virtual_clock import run_at_once

HOUR = 3600
EVENTS = "/r/tasks/task-1/events"
TASK = "/r/tasks/task-1"


class Watched(FakePlatform):
    """A fake platform that also knows when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_at: list[float] = []

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked_at.append(anyio.current_time())
        return super()._answer(request)


def wait_for_an_hour(platform: FakePlatform, **arguments: Any) -> tuple[CallToolResult, list[float]]:
    """The answer of a wait, and when the client was told of progress."""
    told: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(anyio.current_time())

    async def wait() -> CallToolResult:
        async with connected(platform, "legacy") as client:
            call = {"task_id": "task-1", "timeout_seconds": HOUR, **arguments}
            return await client.call_tool("stream_task_events", call, progress_callback=note)

    return run_at_once(wait), told


@pytest.mark.parametrize("status", [404, 429, 503])
def test_an_hour_of_blocked_events_ends_in_time_with_the_last_state(status: int) -> None:
    platform = Watched()
    platform.on("GET", EVENTS, {"error_message": "no"}, status=status)
    platform.on("GET", TASK, {"id": "task-1", "task_status": "running"})
    result, told = wait_for_an_hour(platform)
    answer = structured(result)
    assert answer["timed_out"]
    assert HOUR <= answer["waited_seconds"] <= HOUR + 2
    assert all(later - earlier <= 10.1 for earlier, later in pairwise(told))
    polls = answer["source"]["polls"]
    assert HOUR / 3.1 <= polls <= HOUR / 1.5 + 10


def test_an_hour_without_any_answer_names_the_task() -> None:
    platform = Watched()
    platform.on("GET", EVENTS, lambda _: (_ for _ in ()).throw(httpx2.ConnectError("refused")))
    platform.on("GET", TASK, lambda _: (_ for _ in ()).throw(httpx2.ConnectError("refused")))
    result, _ = wait_for_an_hour(platform)
    assert result.is_error
    assert "task-1 is untouched" in str(result.content)
    assert len(platform.asked_at) < 2 * (HOUR / 1.5 + 20)


def test_a_proxy_that_cuts_the_stream_after_each_word_is_not_hurried() -> None:
    platform = Watched()
    platform.on_events("task-1", ("status", {"status": "running"}))
    platform.on("GET", TASK, {"id": "task-1", "task_status": "running"})
    result, _ = wait_for_an_hour(platform)
    assert structured(result)["timed_out"]
    assert len(platform.asked_at) < 2 * (HOUR / 1.5 + 20)


def test_the_end_of_a_task_is_told_soon_though_its_result_cannot_be_had() -> None:
    platform = Watched()
    platform.on_events("task-1", ("completed", {"status": "completed"}))
    platform.on("GET", f"{TASK}/result", {"error_message": "storage is down"}, status=503)
    result, _ = wait_for_an_hour(platform)
    answer = structured(result)
    assert answer["task_status"] == "completed"
    assert answer["waited_seconds"] <= 11


def test_an_unknown_client_is_kept_for_45_seconds() -> None:
    platform = Watched()
    platform.on("GET", EVENTS, {"error_message": "no"}, status=404)
    platform.on("GET", TASK, {"id": "task-1", "task_status": "running"})

    async def wait() -> CallToolResult:
        async with connected(platform, "legacy") as client:
            return await client.call_tool("stream_task_events", {"task_id": "task-1"})

    assert 45 <= structured(run_at_once(wait))["waited_seconds"] <= 47
