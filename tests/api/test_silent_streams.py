"""A stream that stays open without events: the task is polled, and its end is never missed."""

import anyio
import httpx2
import pytest

from tests.api.timed_platform import (
    COMMENT,
    EVENTS,
    OUTPUT,
    TASK,
    TimedPlatform,
    event,
    event_stream,
    run_with_client,
    wait_for_task,
)
from tests.fake_platform import error_text, structured

RUNNING = event("status", '{"task_id": "t1", "status": "running"}')
PROGRESS = event("progress", '{"task_id": "t1", "progress": 0.5}')
# What can keep a stream open without reporting the state of the task.
HEARTBEATS = {
    "comment": COMMENT,
    "ping event": event("ping", "{}"),
    "event without a name": "data: {}\n\n",
    "retry field": "retry: 3000\n\n",
    "error event": event("error", '{"error_message": "cannot read the status"}'),
    "event of another task": event("progress", '{"task_id": "t2", "progress": 0.9}'),
    "unfinished event": "data: {",
}


@pytest.mark.parametrize("heartbeat", HEARTBEATS.values(), ids=HEARTBEATS.keys())
def test_a_stream_kept_open_by_heartbeats_does_not_hide_the_end(era: str, heartbeat: str) -> None:
    platform = TimedPlatform(ends_at=20)
    platform.stream(event_stream(RUNNING, every=2, again=heartbeat))
    result, took = run_with_client(platform, era, wait_for_task)
    answer = structured(result)
    assert (answer["task_status"], answer["task_output"]) == ("completed", OUTPUT)
    assert answer["source"]["via"] == "polling"
    # Polled after 15 seconds without an event, and after 15 more.
    assert platform.request_times(TASK) == [17.0, 32.0]
    assert took < 33


def test_a_stream_with_heartbeats_stays_open_while_the_task_is_polled(era: str) -> None:
    platform = TimedPlatform()
    platform.stream(event_stream(RUNNING, every=2, again=COMMENT))
    result, _ = run_with_client(platform, era, wait_for_task)
    answer = structured(result)
    assert answer["source"] == {"via": "polling", "events": 1, "reconnects": 0, "polls": 4}
    assert platform.request_times(TASK) == [17.0, 32.0, 47.0, 60.0]
    assert len(platform.request_times(EVENTS)) == 1


def test_a_stream_that_missed_a_change_is_reopened(era: str) -> None:
    platform = TimedPlatform()
    platform.stream(event_stream(event("status", '{"task_id": "t1", "status": "queued"}'), every=2, again=COMMENT))
    run_with_client(platform, era, wait_for_task)
    first, second, *_ = platform.request_times(EVENTS)
    assert first == 0
    assert 17 < second < 18
    assert platform.request_times(TASK)[0] == 17


def test_a_stream_without_a_byte_is_closed_and_reopened(era: str) -> None:
    platform = TimedPlatform(ends_at=40)
    platform.stream(event_stream(RUNNING, every=2))
    result, took = run_with_client(platform, era, wait_for_task)
    assert structured(result)["task_status"] == "completed"
    assert len(platform.request_times(EVENTS)) == 3
    assert took < 53


def test_events_postpone_the_next_poll(era: str) -> None:
    platform = TimedPlatform()
    platform.stream(event_stream(*[PROGRESS] * 4, event("completed", '{"task_id": "t1", "output": {}}'), every=14))
    result, _ = run_with_client(platform, era, lambda client: wait_for_task(client, 100))
    assert structured(result)["source"] == {"via": "events", "events": 5, "reconnects": 0, "polls": 0}
    assert platform.request_times(TASK) == []


def test_a_response_that_is_older_than_the_last_event_is_ignored(era: str) -> None:
    platform = TimedPlatform()
    platform.stream(event_stream(RUNNING, *[COMMENT] * 16, PROGRESS, every=1, again=PROGRESS))

    async def late(_: httpx2.Request) -> httpx2.Response:
        await anyio.sleep(5)
        return httpx2.Response(200, json={"id": "t1", "task_status": "queued"})

    platform.on("GET", TASK, late)
    result, _ = run_with_client(platform, era, lambda client: wait_for_task(client, 30))
    assert structured(result)["task_status"] == "running"
    assert platform.request_times(TASK) == [16.0, 30.0]
    assert len(platform.request_times(EVENTS)) == 1  # a stream that had missed a change would have been reopened


@pytest.mark.parametrize("again", [PROGRESS, COMMENT])
def test_the_task_is_polled_once_more_at_the_deadline(era: str, again: str) -> None:
    platform = TimedPlatform(ends_at=8)
    platform.stream(event_stream(RUNNING, every=1, again=again))
    result, took = run_with_client(platform, era, lambda client: wait_for_task(client, 10))
    answer = structured(result)
    assert (answer["task_status"], answer["terminal"], answer["timed_out"]) == ("completed", True, False)
    assert answer["task_output"] == OUTPUT
    assert platform.request_times(TASK) == [10.0]
    assert took < 12


def test_a_failed_poll_at_the_deadline_leaves_the_last_known_state(era: str) -> None:
    platform = TimedPlatform()
    platform.stream(event_stream(RUNNING, every=1, again=PROGRESS))

    async def never(_: httpx2.Request) -> httpx2.Response:
        await anyio.sleep_forever()
        raise AssertionError

    platform.on("GET", TASK, never)
    result, took = run_with_client(platform, era, lambda client: wait_for_task(client, 10))
    answer = structured(result)
    assert (answer["task_status"], answer["timed_out"]) == ("running", True)
    assert took < 12.5


@pytest.mark.parametrize("status", [401, 404, 503])
def test_an_error_at_the_deadline_does_not_hide_the_last_known_state(era: str, status: int) -> None:
    platform = TimedPlatform()
    platform.stream(event_stream(RUNNING, every=1, again=PROGRESS))
    platform.on("GET", TASK, {"error_message": "no"}, status=status)
    result, _ = run_with_client(platform, era, lambda client: wait_for_task(client, 10))
    assert structured(result)["task_status"] == "running"


def test_an_error_at_the_deadline_is_reported_if_no_state_is_known(era: str) -> None:
    platform = TimedPlatform()
    platform.stream(event_stream(every=1, again=COMMENT))
    platform.on("GET", TASK, {"error_message": "the key was revoked"}, status=401)
    result, _ = run_with_client(platform, era, lambda client: wait_for_task(client, 10))
    assert error_text(result).startswith("Cyberun HTTP 401: the key was revoked\nDo not retry")
