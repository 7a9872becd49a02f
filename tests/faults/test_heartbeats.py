"""Over real connections: a stream that only keeps itself open, and what a wait must not believe.

When and how often something is asked is held to a virtual clock in tests/api; here it matters that the end is reached.
"""

import asyncio

from tests.faults.exchange import Exchange
from tests.faults.platform import Subject
from tests.faults.stage import Outcome, scene
from tests.faults.waits import OUTPUT, complete

LONG_WAIT = {"task_id": "{id}", "timeout_seconds": 60}


def has_completed(outcome: Outcome, via: str) -> None:
    answer = outcome.answer
    assert (answer["task_status"], answer["task_output"], answer["source"]["via"]) == ("completed", OUTPUT, via)


async def only_heartbeats(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    await exchange.event("status", task_id=subject.id, status="running")
    subject.status = "completed"
    while True:
        await exchange.piece(b": still here\n\n")
        await asyncio.sleep(0.2)


@scene("stream_task_events", LONG_WAIT, events=only_heartbeats)
def test_heartbeats_do_not_hide_that_the_task_has_ended(outcome: Outcome) -> None:
    has_completed(outcome, via="polling")


async def another_tasks_end(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    await exchange.event("completed", task_id="another", status="completed", output={"storage_key": "theirs"})
    await complete(exchange, subject)


@scene("stream_task_events", LONG_WAIT, events=another_tasks_end)
def test_another_tasks_end_is_passed_over(outcome: Outcome) -> None:
    has_completed(outcome, via="events")


async def back_tomorrow(exchange: Exchange, _: Subject) -> None:
    await exchange.json({"error_message": "slow down"}, 429, {"Retry-After": "86400"})


async def completes_in_the_end(exchange: Exchange, subject: Subject) -> None:
    subject.status = "completed" if subject.asked[""] >= 3 else "running"
    await exchange.json(subject.task())


@scene("stream_task_events", LONG_WAIT, events=back_tomorrow, itself=completes_in_the_end)
def test_a_stream_that_is_back_tomorrow_does_not_stop_the_asking(outcome: Outcome) -> None:
    has_completed(outcome, via="polling")
    assert not outcome.answer["timed_out"]


async def broke(exchange: Exchange, _: Subject) -> None:
    await exchange.json({"error_message": "insufficient credits"})


@scene("run_workflow_by_slug", {"workflow_slug": "{id}", "body": {}}, run=broke)
def test_a_run_refused_under_status_200_is_refused(outcome: Outcome) -> None:
    assert outcome.refusal.startswith("Cyberun HTTP 200: insufficient credits\n")
    assert "unknown" not in outcome.refusal
    assert len(outcome.seen("run")) == 1
