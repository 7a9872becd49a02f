"""An hour of waiting under constant failures, on a virtual clock: no overflow, no hurry, no silence."""

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


class RecordingPlatform(FakePlatform):
    """A fake platform that records the time of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.request_times: list[float] = []

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        self.request_times.append(anyio.current_time())
        return super()._respond(request)


def wait_for_an_hour(platform: FakePlatform, **arguments: Any) -> tuple[CallToolResult, list[float]]:
    """The result of a wait, and the times of the progress messages."""
    progress_times: list[float] = []

    async def record(progress: float, total: float | None, message: str | None) -> None:
        progress_times.append(anyio.current_time())

    async def wait() -> CallToolResult:
        async with connected(platform, "legacy") as client:
            call = {"task_id": "task-1", "timeout_seconds": HOUR, **arguments}
            return await client.call_tool("stream_task_events", call, progress_callback=record)

    return run_at_once(wait), progress_times


@pytest.mark.parametrize("status", [404, 429, 503])
def test_an_hour_without_events_ends_on_time_with_the_last_state(status: int) -> None:
    platform = RecordingPlatform()
    platform.on("GET", EVENTS, {"error_message": "no"}, status=status)
    platform.on("GET", TASK, {"id": "task-1", "task_status": "running"})
    result, progress_times = wait_for_an_hour(platform)
    answer = structured(result)
    assert answer["timed_out"]
    assert HOUR <= answer["waited_seconds"] <= HOUR + 2
    assert all(later - earlier <= 10.1 for earlier, later in pairwise(progress_times))
    polls = answer["source"]["polls"]
    assert HOUR / 3.1 <= polls <= HOUR / 1.5 + 10


def test_the_error_after_an_hour_without_a_response_names_the_task() -> None:
    platform = RecordingPlatform()
    platform.on("GET", EVENTS, lambda _: (_ for _ in ()).throw(httpx2.ConnectError("refused")))
    platform.on("GET", TASK, lambda _: (_ for _ in ()).throw(httpx2.ConnectError("refused")))
    result, _ = wait_for_an_hour(platform)
    assert result.is_error
    assert "task-1 is untouched" in str(result.content)
    assert len(platform.request_times) < 2 * (HOUR / 1.5 + 20)


def test_a_proxy_that_ends_the_stream_after_each_event_is_not_flooded_with_requests() -> None:
    platform = RecordingPlatform()
    platform.on_events("task-1", ("status", {"status": "running"}))
    platform.on("GET", TASK, {"id": "task-1", "task_status": "running"})
    result, _ = wait_for_an_hour(platform)
    assert structured(result)["timed_out"]
    assert len(platform.request_times) < 2 * (HOUR / 1.5 + 20)


def test_the_end_of_a_task_is_reported_soon_although_its_result_is_not_available() -> None:
    platform = RecordingPlatform()
    platform.on_events("task-1", ("completed", {"status": "completed"}))
    platform.on("GET", f"{TASK}/result", {"error_message": "storage is down"}, status=503)
    result, _ = wait_for_an_hour(platform)
    answer = structured(result)
    assert answer["task_status"] == "completed"
    assert answer["waited_seconds"] <= 11


def test_the_default_wait_for_an_unknown_client_is_45_seconds() -> None:
    platform = RecordingPlatform()
    platform.on("GET", EVENTS, {"error_message": "no"}, status=404)
    platform.on("GET", TASK, {"id": "task-1", "task_status": "running"})

    async def wait() -> CallToolResult:
        async with connected(platform, "legacy") as client:
            return await client.call_tool("stream_task_events", {"task_id": "task-1"})

    assert 45 <= structured(run_at_once(wait))["waited_seconds"] <= 47
