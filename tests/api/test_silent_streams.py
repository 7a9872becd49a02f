"""A stream that stays open without telling anything: the task itself is asked, and the end is never missed."""

import anyio
import httpx2
import pytest

from tests.api.waiting import COMMENT, EVENTS, OUTPUT, TASK, TimedPlatform, event, play, says, waiting
from tests.fake_platform import refusal, structured

RUNNING = event("status", '{"task_id": "t1", "status": "running"}')
PROGRESS = event("progress", '{"task_id": "t1", "progress": 0.5}')
# Whatever keeps a stream open without telling how the task is.
HEARTBEATS = {
    "comment": COMMENT,
    "ping event": event("ping", "{}"),
    "event without a name": "data: {}\n\n",
    "retry field": "retry: 3000\n\n",
    "trouble": event("error", '{"error_message": "cannot read the status"}'),
    "event of another task": event("progress", '{"task_id": "t2", "progress": 0.9}'),
    "unfinished event": "data: {",
}


@pytest.mark.parametrize("heartbeat", HEARTBEATS.values(), ids=HEARTBEATS.keys())
def test_a_stream_kept_open_by_heartbeats_does_not_hide_the_end(era: str, heartbeat: str) -> None:
    platform = TimedPlatform(ends_at=20)
    platform.streams(says(RUNNING, every=2, again=heartbeat))
    result, took = play(platform, era, waiting)
    answer = structured(result)
    assert (answer["task_status"], answer["task_output"]) == ("completed", OUTPUT)
    assert answer["source"]["via"] == "polling"
    # Asked after 15 seconds without an event, and after 15 more.
    assert platform.asked_at(TASK) == [17.0, 32.0]
    assert took < 33


def test_a_stream_that_lives_stays_open_while_the_task_is_asked(era: str) -> None:
    platform = TimedPlatform()
    platform.streams(says(RUNNING, every=2, again=COMMENT))
    result, _ = play(platform, era, waiting)
    answer = structured(result)
    assert answer["source"] == {"via": "polling", "events": 1, "reconnects": 0, "polls": 4}
    assert platform.asked_at(TASK) == [17.0, 32.0, 47.0, 60.0]
    assert len(platform.asked_at(EVENTS)) == 1


def test_a_stream_that_missed_what_the_task_says_is_opened_anew(era: str) -> None:
    platform = TimedPlatform()
    platform.streams(says(event("status", '{"task_id": "t1", "status": "queued"}'), every=2, again=COMMENT))
    play(platform, era, waiting)
    first, second, *_ = platform.asked_at(EVENTS)
    assert first == 0
    assert 17 < second < 18
    assert platform.asked_at(TASK)[0] == 17


def test_a_stream_without_a_byte_is_left_and_opened_anew(era: str) -> None:
    platform = TimedPlatform(ends_at=40)
    platform.streams(says(RUNNING, every=2))
    result, took = play(platform, era, waiting)
    assert structured(result)["task_status"] == "completed"
    assert len(platform.asked_at(EVENTS)) == 3
    assert took < 53


def test_events_put_the_question_off(era: str) -> None:
    platform = TimedPlatform()
    platform.streams(says(*[PROGRESS] * 4, event("completed", '{"task_id": "t1", "output": {}}'), every=14))
    result, _ = play(platform, era, lambda client: waiting(client, 100))
    assert structured(result)["source"] == {"via": "events", "events": 5, "reconnects": 0, "polls": 0}
    assert platform.asked_at(TASK) == []


def test_an_answer_that_an_event_has_overtaken_does_not_turn_the_state_back(era: str) -> None:
    platform = TimedPlatform()
    platform.streams(says(RUNNING, *[COMMENT] * 16, PROGRESS, every=1, again=PROGRESS))

    async def late(_: httpx2.Request) -> httpx2.Response:
        await anyio.sleep(5)
        return httpx2.Response(200, json={"id": "t1", "task_status": "queued"})

    platform.on("GET", TASK, late)
    result, _ = play(platform, era, lambda client: waiting(client, 30))
    assert structured(result)["task_status"] == "running"
    assert platform.asked_at(TASK) == [16.0, 30.0]
    assert len(platform.asked_at(EVENTS)) == 1  # else the stream would have been left, as one that had missed something


@pytest.mark.parametrize("again", [PROGRESS, COMMENT])
def test_at_the_deadline_the_task_is_asked_once_more(era: str, again: str) -> None:
    platform = TimedPlatform(ends_at=8)
    platform.streams(says(RUNNING, every=1, again=again))
    result, took = play(platform, era, lambda client: waiting(client, 10))
    answer = structured(result)
    assert (answer["task_status"], answer["terminal"], answer["timed_out"]) == ("completed", True, False)
    assert answer["task_output"] == OUTPUT
    assert platform.asked_at(TASK) == [10.0]
    assert took < 12


def test_a_task_that_cannot_be_asked_at_the_deadline_keeps_its_last_known_state(era: str) -> None:
    platform = TimedPlatform()
    platform.streams(says(RUNNING, every=1, again=PROGRESS))

    async def never(_: httpx2.Request) -> httpx2.Response:
        await anyio.sleep_forever()
        raise AssertionError

    platform.on("GET", TASK, never)
    result, took = play(platform, era, lambda client: waiting(client, 10))
    answer = structured(result)
    assert (answer["task_status"], answer["timed_out"]) == ("running", True)
    assert took < 12.5


@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_refusal_at_the_deadline_does_not_hide_what_was_heard_before(era: str, status: int) -> None:
    platform = TimedPlatform()
    platform.streams(says(RUNNING, every=1, again=PROGRESS))
    platform.on("GET", TASK, {"error_message": "no"}, status=status)
    result, _ = play(platform, era, lambda client: waiting(client, 10))
    assert structured(result)["task_status"] == "running"


def test_a_refusal_at_the_deadline_is_told_where_nothing_was_heard(era: str) -> None:
    platform = TimedPlatform()
    platform.streams(says(every=1, again=COMMENT))
    platform.on("GET", TASK, {"error_message": "the key was revoked"}, status=401)
    result, _ = play(platform, era, lambda client: waiting(client, 10))
    assert refusal(result).startswith("Cyberun HTTP 401: the key was revoked\nDo not retry")
