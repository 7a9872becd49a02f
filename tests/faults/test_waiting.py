"""A wait survives whatever happens to the event stream, within its deadline, and tells how it fared."""

import pytest

from tests.faults.exchange import Exchange
from tests.faults.platform import Subject
from tests.faults.stage import HASTY, IDLE, Outcome, scene
from tests.faults.waits import GAP, OUTPUT, SHORT, SHORT_WAIT, WAIT, complete, events_after_trouble, is_done


async def dropped_mid_event(exchange: Exchange, subject: Subject) -> None:
    if subject.asked["events"] > 1:
        await events_after_trouble(exchange, subject)
    else:
        await exchange.open_events()
        await exchange.event("progress", progress=0.25)
        await exchange.piece(b'event: completed\ndata: {"status": "comp')
        exchange.drop()


@scene("stream_task_events", WAIT, events=dropped_mid_event)
def test_a_stream_dropped_in_the_middle_of_an_event_is_picked_up_again(outcome: Outcome) -> None:
    is_done(outcome)
    assert outcome.answer["source"] == {"via": "events", "events": 2, "reconnects": 1, "polls": 1}
    assert len(outcome.seen("events")) == 2


async def cut_without_goodbye(exchange: Exchange, subject: Subject) -> None:
    if subject.asked["events"] > 1:
        await events_after_trouble(exchange, subject)
    else:
        exchange.drop()


@scene("stream_task_events", WAIT, events=cut_without_goodbye)
def test_a_stream_lost_before_its_first_byte_is_asked_for_again(outcome: Outcome) -> None:
    is_done(outcome)
    assert len(outcome.seen("events")) == 2


async def ends_early(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    if subject.asked["events"] > 2:
        return await complete(exchange, subject)
    await exchange.event("progress", progress=subject.asked["events"] / 10)
    return await exchange.end()


@scene("stream_task_events", WAIT, events=ends_early)
def test_a_stream_that_ends_too_early_is_opened_again(outcome: Outcome) -> None:
    is_done(outcome)
    assert outcome.answer["source"] == {"via": "events", "events": 3, "reconnects": 2, "polls": 2}
    assert len(outcome.seen("")) == 2


async def goes_silent(exchange: Exchange, subject: Subject) -> None:
    subject.status = "completed"
    await exchange.open_events()
    await exchange.event("status", status="running")
    await exchange.stall()


silent = scene("stream_task_events", WAIT, HASTY, events=goes_silent)


@silent
def test_a_silent_stream_is_decided_by_the_task_itself(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert outcome.seen("events")[0] in outcome.platform.hung_up


@silent
def test_a_silent_stream_is_given_up_after_the_idle_time(timed: Outcome) -> None:
    is_done(timed, via="polling")
    assert timed.took == pytest.approx(IDLE + GAP)
    assert len(timed.seen("events")) == len(timed.seen("")) == len(timed.seen("result")) == 1
    assert timed.seen("events")[0] in timed.platform.hung_up


async def never_answers(exchange: Exchange, _: Subject) -> None:
    await exchange.stall()


async def completes_when_asked_twice(exchange: Exchange, subject: Subject) -> None:
    subject.status = "completed" if subject.asked[""] >= 2 else "running"
    await exchange.json(subject.task())


mute = scene("stream_task_events", WAIT, HASTY, events=never_answers, itself=completes_when_asked_twice)


@mute
def test_a_stream_that_never_begins_is_decided_by_the_task_itself(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert outcome.answer["source"]["events"] == 0
    assert outcome.answer["source"]["reconnects"] >= 1


@mute
def test_a_stream_that_never_begins_is_given_up_after_the_idle_time_and_tried_again(timed: Outcome) -> None:
    is_done(timed, via="polling")
    assert timed.answer["source"] == {"via": "polling", "events": 0, "reconnects": 1, "polls": 2}
    assert timed.took == pytest.approx(2 * IDLE + 0.075 + GAP, abs=0.025)  # between the two a pause of 0.05 to 0.1 s


async def already_over(exchange: Exchange, subject: Subject) -> None:
    subject.status = "completed"
    await exchange.open_events()
    await exchange.end()


over = scene("stream_task_events", WAIT, events=already_over)


@over
def test_a_task_that_is_already_over_is_told_without_another_look(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert len(outcome.seen("events")) == len(outcome.seen("")) == 1


@over
def test_a_task_that_is_already_over_is_told_at_once(timed: Outcome) -> None:
    is_done(timed, via="polling")
    assert timed.took == pytest.approx(2 * GAP)


async def never_closes(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    subject.status = "completed"
    await exchange.event("completed", status="completed", output=OUTPUT)
    await exchange.stall()


unclosed = scene("stream_task_events", WAIT, events=never_closes)


@unclosed
def test_a_stream_that_stays_open_after_the_end_is_closed_by_us(outcome: Outcome) -> None:
    is_done(outcome)
    assert outcome.seen("events")[0] in outcome.platform.hung_up
    assert not outcome.seen("")


@unclosed
def test_a_stream_that_stays_open_after_the_end_is_not_waited_for(timed: Outcome) -> None:
    is_done(timed)
    assert timed.took == pytest.approx(2 * GAP)


async def completed_without_output(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    subject.status = "completed"
    await exchange.event("status", status="completed")
    await exchange.end()


@scene("stream_task_events", WAIT, events=completed_without_output)
def test_output_the_stream_did_not_carry_is_fetched(outcome: Outcome) -> None:
    is_done(outcome)
    assert len(outcome.seen("result")) == 1
    assert not outcome.seen("")


async def failed_without_reason(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    subject.status, subject.error = "failed", "out of memory"
    await exchange.event("failed", status="failed")
    await exchange.end()


@scene("stream_task_events", WAIT, events=failed_without_reason)
def test_an_error_the_stream_did_not_carry_is_fetched(outcome: Outcome) -> None:
    assert outcome.answer["task_status"] == "failed"
    assert outcome.answer["task_error"] == "out of memory"
    assert len(outcome.seen("")) == 1


async def result_in_trouble(exchange: Exchange, subject: Subject) -> None:
    await exchange.json({"error_message": "storage is down"}, 503)


without_result = scene("stream_task_events", SHORT_WAIT, events=completed_without_output, result=result_in_trouble)


def is_done_without_output(outcome: Outcome) -> None:
    assert outcome.answer["task_status"] == "completed"
    assert not outcome.answer["timed_out"]
    assert "task_output" not in outcome.answer


@without_result
def test_an_end_is_told_even_when_its_output_cannot_be_fetched(outcome: Outcome) -> None:
    is_done_without_output(outcome)


@without_result
def test_an_end_whose_output_cannot_be_fetched_is_told_before_time_is_up(timed: Outcome) -> None:
    is_done_without_output(timed)
    assert timed.took <= SHORT


async def task_in_trouble(exchange: Exchange, _: Subject) -> None:
    await exchange.json({"error_message": "the database is down"}, 500)


@scene("stream_task_events", WAIT, events=ends_early, itself=task_in_trouble)
def test_a_task_that_cannot_be_asked_for_is_heard_of_through_its_events(outcome: Outcome) -> None:
    is_done(outcome)
    assert len(outcome.seen("events")) == 3


async def runs_on(exchange: Exchange, _: Subject) -> None:
    await exchange.open_events()
    await exchange.event("progress", progress=0.35, step_current=7, step_total=20, current_node="3")
    await exchange.stall()


running = scene("stream_task_events", SHORT_WAIT, events=runs_on)


@running
def test_time_up_is_no_error_and_says_how_to_go_on(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["timed_out"]
    assert not answer["terminal"]
    assert answer["task_status"] == "running"
    assert answer["progress"] == 0.35
    assert (
        answer["next_step"] == "The task runs on. Call stream_task_events again with the same task_id to go on waiting."
    )
    assert not outcome.seen("cancel")


@running
def test_time_is_up_when_the_caller_said(timed: Outcome) -> None:
    assert timed.answer["timed_out"]
    assert timed.took == SHORT
    assert timed.answer["waited_seconds"] == SHORT


async def always_cut(exchange: Exchange, _: Subject) -> None:
    exchange.drop()


deaf = scene("stream_task_events", SHORT_WAIT, events=always_cut, itself=always_cut)


@deaf
def test_a_wait_in_which_nothing_was_heard_fails_and_names_the_task(outcome: Outcome) -> None:
    assert "Cyberun could not be reached" in outcome.refusal
    assert f"Task {outcome.id} is untouched by this and may well be running: wait for it again." in outcome.refusal


@deaf
def test_a_wait_in_which_nothing_was_heard_fails_when_its_time_is_up(timed: Outcome) -> None:
    assert f"Task {timed.id} is untouched by this" in timed.refusal
    assert timed.took == SHORT


async def unknown(exchange: Exchange, _: Subject) -> None:
    await exchange.json({"error_message": "resource not found"}, 404)


foreign = scene("stream_task_events", WAIT, events=unknown, itself=unknown)


@foreign
def test_a_task_of_another_team_is_an_error_after_one_look(outcome: Outcome) -> None:
    assert outcome.refusal.startswith("Cyberun HTTP 404: resource not found\n")
    assert "list_tasks" in outcome.refusal
    assert len(outcome.seen("events")) == len(outcome.seen("")) == 1


@foreign
def test_a_task_of_another_team_is_an_error_at_once(timed: Outcome) -> None:
    assert timed.refusal.startswith("Cyberun HTTP 404: resource not found\n")
    assert timed.took == 0
