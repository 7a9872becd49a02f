"""What ends a wait: events and responses about its own task, and errors that are permanent."""

from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp_types import CallToolResult

from tests.api.timed_platform import (
    EVENTS,
    OUTPUT,
    TASK,
    TimedPlatform,
    event,
    event_stream,
    run_with_client,
    wait_for_task,
)
from tests.fake_platform import FakePlatform, error_text, structured

RUN = ("run_workflow_by_slug", {"workflow_slug": "fox", "body": {}})
DO_NOT_RUN = "do not run it again"


@pytest.mark.parametrize(
    "foreign", ['{"task_id": "t2", "output": {"storage_key": "theirs"}}', '{"id": "t2", "output": {}}']
)
@pytest.mark.parametrize("name", ["completed", "failed", "cancelled"])
def test_the_end_of_another_task_does_not_end_the_wait(era: str, name: str, foreign: str) -> None:
    platform = TimedPlatform()
    ours = event("completed", '{"task_id": "t1", "output": {"storage_key": "ours"}}')
    platform.stream(event_stream(event(name, foreign), ours, every=1))
    result, _ = run_with_client(platform, era, wait_for_task)
    answer = structured(result)
    assert (answer["task_status"], answer["task_output"]) == ("completed", {"storage_key": "ours"})
    assert answer["source"]["events"] == 1


@pytest.mark.parametrize("name", ["progress", "status"])
def test_the_progress_of_another_task_is_not_reported(era: str, name: str) -> None:
    platform = TimedPlatform()
    platform.stream(event_stream(event(name, '{"task_id": "t2", "progress": 0.9, "status": "queued"}'), every=1))
    result, _ = run_with_client(platform, era, lambda client: wait_for_task(client, 10))
    answer = structured(result)
    assert answer["task_status"] == "running"
    assert "progress" not in answer


@pytest.mark.parametrize("named", ["0A1B-2c", "0a1b2C", "0a1b-2c"])
def test_an_id_in_another_spelling_is_the_same_task(era: str, named: str) -> None:
    platform = FakePlatform()
    platform.on_events("0a1b-2c", ("completed", {"task_id": named, "output": OUTPUT}))

    async def wait(client: Client) -> CallToolResult:
        return await client.call_tool("stream_task_events", {"task_id": "0a1b-2c"})

    assert structured(run_with_client(platform, era, wait)[0])["task_output"] == OUTPUT


def test_a_response_about_another_task_is_ignored(era: str) -> None:
    platform = TimedPlatform()
    platform.on("GET", EVENTS, {"error_message": "no events"}, status=404)
    answers = iter([{"id": "t2", "task_status": "completed"}])
    platform.on("GET", TASK, lambda _: httpx2.Response(200, json=next(answers, {"id": "t1", "task_status": "running"})))
    result, _ = run_with_client(platform, era, lambda client: wait_for_task(client, 10))
    assert structured(result)["task_status"] == "running"


def test_the_output_of_another_task_is_not_returned(era: str) -> None:
    platform = TimedPlatform()
    platform.on_events("t1", ("completed", {"task_id": "t1"}))
    theirs = {"id": "t2", "task_status": "completed", "task_output": {"storage_key": "theirs"}}
    platform.on("GET", f"{TASK}/result", theirs)
    answer = structured(run_with_client(platform, era, wait_for_task)[0])
    assert answer["task_status"] == "completed"
    assert "task_output" not in answer


@pytest.mark.parametrize("path", [EVENTS, TASK])
@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_of_a_day_does_not_stop_the_polling(era: str, status: int, path: str) -> None:
    platform = TimedPlatform(ends_at=20)
    headers = {"Retry-After": "86400"}
    busy = httpx2.Response(status, json={"error_message": "slow down"}, headers=headers)
    platform.on("GET", EVENTS, {"error_message": "no events"}, status=404)
    platform.on("GET", path, lambda _: busy if anyio.current_time() < 12 or path == EVENTS else done())

    def done() -> httpx2.Response:
        return httpx2.Response(200, json=platform.task())

    result, took = run_with_client(platform, era, wait_for_task)
    assert structured(result)["task_status"] == "completed"
    assert took < 36
    assert len(platform.request_times(TASK)) >= 2


def test_a_stream_with_retry_after_is_not_requested_again_before_while_the_task_is_polled(era: str) -> None:
    platform = TimedPlatform()
    busy = httpx2.Response(429, json={"error_message": "slow down"}, headers={"Retry-After": "9"})
    platform.on("GET", EVENTS, lambda _: busy)
    run_with_client(platform, era, lambda client: wait_for_task(client, 20))
    assert platform.request_times(EVENTS) == [0.0, 9.0, 18.0]
    assert platform.request_times(TASK) == [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 20.0]


class SlowToFindTasks(TimedPlatform):
    """Accepts a run at once, but responds 404 for its task until `appears_at`."""

    def __init__(self, appears_at: float) -> None:
        super().__init__(ends_at=appears_at + 1)
        self.on("POST", "/r/workflows/slug/fox/run", {"task_id": "t1"}, status=202)

        def after_404(respond: Any) -> Any:
            missing = httpx2.Response(404, json={"error_message": "resource not found"})
            return lambda _: respond() if anyio.current_time() >= appears_at else missing

        text = event("completed", '{"task_id": "t1", "output": {"storage_key": "tasks/t1/output.png"}}')
        events = {"Content-Type": "text/event-stream"}
        self.on("GET", TASK, after_404(lambda: httpx2.Response(200, json=self.task())))
        self.on("GET", EVENTS, after_404(lambda: httpx2.Response(200, text=text, headers=events)))


def test_a_task_just_submitted_that_is_not_found_yet_is_waited_for(era: str) -> None:
    platform = SlowToFindTasks(appears_at=6)

    async def run_and_wait(client: Client) -> CallToolResult:
        structured(await client.call_tool(*RUN))
        return await wait_for_task(client)

    result, took = run_with_client(platform, era, run_and_wait)
    answer = structured(result)
    assert (answer["task_status"], answer["task_output"], answer["source"]["via"]) == ("completed", OUTPUT, "events")
    assert took < 10


def test_the_error_for_a_submitted_task_that_never_appears_says_that_it_was_accepted(era: str) -> None:
    platform = SlowToFindTasks(appears_at=1_000)

    async def run_and_wait(client: Client) -> CallToolResult:
        structured(await client.call_tool(*RUN))
        return await wait_for_task(client)

    result, took = run_with_client(platform, era, run_and_wait)
    text = error_text(result)
    assert text.startswith("Cyberun HTTP 404: resource not found\nDo not run it again: the run was accepted")
    assert "Task t1 is untouched by this and may well be running" in text
    assert 15 <= took < 20
    assert len(platform.request_times(TASK)) < 20


@pytest.mark.parametrize("tool", ["stream_task_events", "get_task", "get_task_result", "cancel_task"])
@pytest.mark.parametrize("pause", [0, 61, 3_700])
def test_no_tool_says_that_a_task_submitted_here_never_existed(era: str, pause: int, tool: str) -> None:
    platform = SlowToFindTasks(appears_at=100_000)
    platform.on("GET", f"{TASK}/result", {"error_message": "resource not found"}, status=404)

    async def run_and_call_later(client: Client) -> CallToolResult:
        structured(await client.call_tool(*RUN))
        await anyio.sleep(pause)
        return await client.call_tool(tool, {"task_id": "t1"})

    result, took = run_with_client(platform, era, run_and_call_later)
    text = error_text(result)
    assert DO_NOT_RUN in text.lower()
    assert ("the run was accepted" in text) == (pause < 3_600)
    assert took < pause + (20 if pause == 0 else 1)


def test_an_unknown_task_ends_the_wait_at_once_without_inviting_a_second_run(era: str) -> None:
    result, took = run_with_client(FakePlatform(), era, wait_for_task)
    assert "list_tasks" in error_text(result)
    assert DO_NOT_RUN in error_text(result)
    assert took < 1


def test_a_single_404_for_a_task_that_was_seen_does_not_end_the_wait(era: str) -> None:
    platform = TimedPlatform(ends_at=9)
    platform.on_events("t1", ("status", {"task_id": "t1", "status": "running"}))
    missing = httpx2.Response(404, json={"error_message": "resource not found"})
    platform.on(
        "GET", TASK, lambda _: missing if anyio.current_time() < 5 else httpx2.Response(200, json=platform.task())
    )
    result, _ = run_with_client(platform, era, wait_for_task)
    assert structured(result)["task_status"] == "completed"


@pytest.mark.parametrize("status", [200, 402, 409])
def test_an_error_that_persists_ends_the_wait_with_the_platforms_message(era: str, status: int) -> None:
    platform = TimedPlatform()
    for path in (EVENTS, TASK):
        platform.on("GET", path, {"error_message": "insufficient credits"}, status=status)
    result, took = run_with_client(platform, era, lambda client: wait_for_task(client, 3_600))
    text = error_text(result)
    assert text.startswith(f"Cyberun HTTP {status}: insufficient credits\n")
    assert "Task t1 is untouched by this" in text
    assert 15 <= took < 20


def test_an_error_that_goes_away_does_not_end_the_wait(era: str) -> None:
    platform = TimedPlatform(ends_at=40)
    rejected = httpx2.Response(200, json={"error_message": "insufficient credits"})
    platform.on("GET", EVENTS, {"error_message": "no events"}, status=404)
    platform.on(
        "GET",
        TASK,
        lambda _: rejected if anyio.current_time() % 20 < 10 else httpx2.Response(200, json=platform.task()),
    )
    result, _ = run_with_client(platform, era, lambda client: wait_for_task(client, 100))
    assert structured(result)["task_status"] == "completed"
