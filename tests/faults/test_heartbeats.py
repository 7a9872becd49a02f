"""Over real connections: a stream that only keeps itself open, and what a wait must not believe."""

import asyncio

from tests.faults.exchange import Exchange
from tests.faults.platform import Subject
from tests.faults.stage import Outcome, scene
from tests.faults.waits import OUTPUT, SHORT_WAIT, WAIT, complete, completes_when_asked_thrice, is_done


async def only_heartbeats(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    await exchange.event("status", task_id=subject.id, status="running")
    subject.status = "completed"
    while True:
        await exchange.piece(b": still here\n\n")
        await asyncio.sleep(0.2)


@scene("stream_task_events", WAIT, events=only_heartbeats)
def test_heartbeats_do_not_hide_that_the_task_has_ended(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert len(outcome.seen("events")) == len(outcome.seen("")) == 1


async def its_end_gets_lost(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    subject.status = "completed"
    while True:
        await exchange.event("progress", task_id=subject.id, progress=0.9)
        await asyncio.sleep(0.2)


@scene("stream_task_events", SHORT_WAIT, events=its_end_gets_lost)
def test_the_task_is_asked_once_more_when_time_is_up(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert len(outcome.seen("events")) == len(outcome.seen("")) == 1


async def another_tasks_end(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    await exchange.event("completed", task_id="another", status="completed", output={"storage_key": "theirs"})
    await complete(exchange, subject)


@scene("stream_task_events", WAIT, events=another_tasks_end)
def test_another_tasks_end_is_passed_over(outcome: Outcome) -> None:
    is_done(outcome)
    assert outcome.answer["task_output"] == OUTPUT


async def back_tomorrow(exchange: Exchange, _: Subject) -> None:
    await exchange.json({"error_message": "slow down"}, 429, {"Retry-After": "86400"})


@scene("stream_task_events", WAIT, events=back_tomorrow, itself=completes_when_asked_thrice)
def test_a_stream_that_is_back_tomorrow_does_not_stop_the_asking(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert outcome.answer["source"]["polls"] == 3


async def broke(exchange: Exchange, _: Subject) -> None:
    await exchange.json({"error_message": "insufficient credits"})


@scene("run_workflow_by_slug", {"workflow_slug": "{id}", "body": {}}, run=broke)
def test_a_run_refused_under_status_200_is_refused(outcome: Outcome) -> None:
    assert outcome.refusal.startswith("Cyberun HTTP 200: insufficient credits\n")
    assert "unknown" not in outcome.refusal
    assert len(outcome.seen("run")) == 1


@scene("stream_task_events", SHORT_WAIT, events=broke, itself=broke)
def test_a_wait_refused_under_status_200_says_why(outcome: Outcome) -> None:
    assert outcome.refusal.startswith("Cyberun HTTP 200: insufficient credits\n")
    assert f"Task {outcome.id} is untouched by this" in outcome.refusal
