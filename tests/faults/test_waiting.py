"""A wait survives whatever happens to the event stream, within its deadline, and tells how it fared."""

import asyncio
from collections.abc import Mapping
from itertools import pairwise

from tests.faults.exchange import Exchange
from tests.faults.platform import Script, Subject
from tests.faults.stage import IDLE, POLL, Outcome, scene

LONGEST = 10  # seconds
WAIT = {"task_id": "{id}", "timeout_seconds": LONGEST}
SHORT_WAIT = {"task_id": "{id}", "timeout_seconds": 1}
OUTPUT = {"storage_key": "tasks/1/output.png"}
SLACK = 3.0  # seconds a busy machine may add


def is_done(outcome: Outcome, via: str = "events") -> None:
    """The answer is that of a task that completed, from the source expected, and in time."""
    answer = outcome.answer
    assert answer["task_status"] == "completed"
    assert answer["terminal"]
    assert not answer["timed_out"]
    assert answer["task_output"] == OUTPUT
    assert answer["source"]["via"] == via
    assert outcome.took < LONGEST
    assert {seen.method for seen in outcome.platform.seen(outcome.id)} == {"GET"}


async def complete(exchange: Exchange, subject: Subject) -> None:
    subject.status = "completed"
    await exchange.event("completed", status="completed", output=OUTPUT)
    await exchange.end()


async def events_after_trouble(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    await complete(exchange, subject)


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
    await exchange.open_events()
    await exchange.event("status", status="running")
    subject.status = "completed"
    await exchange.stall()


@scene("stream_task_events", WAIT, events=goes_silent)
def test_a_silent_stream_is_decided_by_the_task_itself(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert IDLE <= outcome.took < IDLE + SLACK
    assert len(outcome.seen("events")) == len(outcome.seen("")) == len(outcome.seen("result")) == 1
    assert outcome.seen("events")[0] in outcome.platform.hung_up


async def never_answers(exchange: Exchange, _: Subject) -> None:
    await exchange.stall()


async def completes_when_asked_twice(exchange: Exchange, subject: Subject) -> None:
    subject.status = "completed" if subject.asked[""] == 2 else "running"
    await exchange.json(subject.task())


@scene("stream_task_events", WAIT, events=never_answers, itself=completes_when_asked_twice)
def test_a_stream_that_never_begins_is_decided_by_the_task_itself(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert 2 * IDLE <= outcome.took < 2 * IDLE + SLACK
    assert outcome.answer["source"] == {"via": "polling", "events": 0, "reconnects": 1, "polls": 2}


def blocked(
    status: int,
    kind: str = "application/json",
    body: str = '{"error_message": "no events here"}',
    headers: Mapping[str, str] | None = None,
) -> Script:
    async def script(exchange: Exchange, _: Subject) -> None:
        await exchange.text(body, kind, status, headers)

    return script


async def completes_when_asked_thrice(exchange: Exchange, subject: Subject) -> None:
    subject.status = "completed" if subject.asked[""] == 3 else "running"
    await exchange.json(subject.task())


def was_polled(outcome: Outcome) -> None:
    """The stream was tried once; then the task was asked every poll interval."""
    is_done(outcome, via="polling")
    assert outcome.answer["source"] == {"via": "polling", "events": 0, "reconnects": 0, "polls": 3}
    assert len(outcome.seen("events")) == 1
    asked = [seen.at for seen in outcome.seen("")]
    assert all(POLL <= later - earlier < POLL + SLACK for earlier, later in pairwise(asked))


@scene("stream_task_events", WAIT, events=blocked(404), itself=completes_when_asked_thrice)
def test_a_task_without_an_event_stream_is_polled(outcome: Outcome) -> None:
    was_polled(outcome)


@scene("stream_task_events", WAIT, events=blocked(405), itself=completes_when_asked_thrice)
def test_a_proxy_that_refuses_event_streams_makes_us_poll(outcome: Outcome) -> None:
    was_polled(outcome)


@scene(
    "stream_task_events", WAIT, events=blocked(200, "text/html", "<h1>Hello</h1>"), itself=completes_when_asked_thrice
)
def test_a_web_page_in_place_of_events_makes_us_poll(outcome: Outcome) -> None:
    was_polled(outcome)


@scene(
    "stream_task_events",
    WAIT,
    events=blocked(307, "text/plain", "", {"Location": "/api/v1/r/tasks/elsewhere/events"}),
    itself=completes_when_asked_thrice,
)
def test_a_redirected_event_stream_is_not_followed_but_polled(outcome: Outcome) -> None:
    was_polled(outcome)
    assert not outcome.platform.seen("elsewhere")


@scene("stream_task_events", WAIT, events=blocked(500), itself=completes_when_asked_thrice)
def test_an_event_stream_in_trouble_is_polled_and_tried_again(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert outcome.answer["source"] == {"via": "polling", "events": 0, "reconnects": 2, "polls": 3}


@scene(
    "stream_task_events",
    WAIT,
    events=blocked(502, "text/html", "<h1>Bad Gateway</h1>"),
    itself=completes_when_asked_thrice,
)
def test_a_gateways_error_page_in_place_of_events_is_survived(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert outcome.answer["source"]["polls"] == 3


async def busy_at_first(exchange: Exchange, subject: Subject) -> None:
    if subject.asked["events"] == 1:
        return await exchange.json({"error_message": "slow down"}, 429, {"Retry-After": "1"})
    return await events_after_trouble(exchange, subject)


@scene("stream_task_events", WAIT, events=busy_at_first)
def test_a_busy_event_stream_is_left_alone_as_long_as_it_asks(outcome: Outcome) -> None:
    is_done(outcome)
    first, second = outcome.seen("events")
    assert 1 <= second.at - first.at < 1 + SLACK


async def already_over(exchange: Exchange, subject: Subject) -> None:
    subject.status = "completed"
    await exchange.open_events()
    await exchange.end()


@scene("stream_task_events", WAIT, events=already_over)
def test_a_task_that_is_already_over_is_told_at_once(outcome: Outcome) -> None:
    is_done(outcome, via="polling")
    assert outcome.took < SLACK
    assert len(outcome.seen("events")) == len(outcome.seen("")) == 1


async def never_closes(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    subject.status = "completed"
    await exchange.event("completed", status="completed", output=OUTPUT)
    await exchange.stall()


@scene("stream_task_events", WAIT, events=never_closes)
def test_a_stream_that_stays_open_after_the_end_is_closed_by_us(outcome: Outcome) -> None:
    is_done(outcome)
    assert outcome.took < SLACK
    assert outcome.seen("events")[0] in outcome.platform.hung_up
    assert not outcome.seen("")


async def in_odd_dress(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    subject.status = "completed"
    await exchange.piece(b"\xef\xbb\xbf: a comment, after a byte order mark\r\n\r\n")
    await exchange.piece(b'retry: 10\r\nid: 7\r\nevent: progress\r\ndata: {\r\ndata: "progress": 0.5}\r\n\r\n')
    await exchange.piece(b": still here\r\r")
    await exchange.piece(b'event: completed\rdata: {"status": "completed",\rdata: "output": {"storage_key":\r')
    await exchange.piece(b'data: "tasks/1/output.png"}}\r\r')
    await exchange.end()


@scene("stream_task_events", WAIT, events=in_odd_dress)
def test_comments_byte_order_mark_any_line_end_and_data_over_many_lines_are_read(outcome: Outcome) -> None:
    is_done(outcome)
    assert outcome.answer["source"]["events"] == 2
    assert len(outcome.seen("events")) == 1


async def byte_by_byte(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    subject.status = "completed"
    text = (
        'event: progress\ndata: {"progress": 0.5, "message": "größer 図"}\n\n'
        'event: completed\r\ndata: {"output": {"storage_key": "tasks/1/output.png"}}\r\n\r\n'
    )
    for byte in text.encode():
        await exchange.piece(bytes([byte]))
    await exchange.end()


@scene("stream_task_events", WAIT, events=byte_by_byte)
def test_events_that_arrive_byte_by_byte_are_put_together(outcome: Outcome) -> None:
    is_done(outcome)
    assert outcome.answer["source"]["events"] == 2


async def strange_events(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    await exchange.event("agent_moved", status="completed", to="the moon")
    await exchange.event("status", status="running", colour="blue")
    await exchange.piece(b"event: progress\ndata: {not json\n\n")
    await exchange.piece(b"event: progress\ndata: [1, 2]\n\n")
    await exchange.event("error", error="cannot read the status just now")
    await exchange.piece(b"event: progress\n\ndata\n\n")
    await exchange.event("completed", status="success", output=OUTPUT, surprise=[1])
    await exchange.event("completed", status="completed", output={"storage_key": "another"})
    subject.status = "completed"
    await exchange.event("failed", status="failed", error="no, it did not")
    await exchange.end()


@scene("stream_task_events", WAIT, events=strange_events)
def test_what_one_event_gets_wrong_costs_that_event_only(outcome: Outcome) -> None:
    is_done(outcome)
    assert len(outcome.seen("events")) == 1


async def wild_progress(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    for value in ("0.5", "0.5", "0.2", "NaN", "17", "-3", "1e999", "9" * 400, "0.6", '"0.7"', "true"):
        await exchange.piece(f'event: progress\ndata: {{"progress": {value}}}\n\n'.encode())
        await asyncio.sleep(0.12)
    await complete(exchange, subject)


@scene("stream_task_events", WAIT, events=wild_progress)
def test_progress_that_repeats_goes_back_or_is_no_number_still_rises_for_the_client(outcome: Outcome) -> None:
    is_done(outcome)
    values = [each.value for each in outcome.told]
    assert len(values) > 5
    assert all(earlier < later for earlier, later in pairwise(values))
    assert values[0] >= 0
    assert values[-1] == 1


async def enormous_event(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    await exchange.raw(b"1400000\r\nevent: progress\ndata: ")
    for _ in range(20):
        await exchange.raw(b"x" * 2**20)
    await exchange.stall()


@scene("stream_task_events", WAIT, events=enormous_event, itself=completes_when_asked_thrice)
def test_an_event_of_20_megabytes_is_not_read_to_its_end_and_the_task_is_polled(outcome: Outcome) -> None:
    was_polled(outcome)


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


@scene("stream_task_events", SHORT_WAIT, events=completed_without_output, result=result_in_trouble)
def test_an_end_is_told_even_when_its_output_cannot_be_fetched(outcome: Outcome) -> None:
    assert outcome.answer["task_status"] == "completed"
    assert not outcome.answer["timed_out"]
    assert "task_output" not in outcome.answer
    assert outcome.took < 1 + SLACK


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


@scene("stream_task_events", SHORT_WAIT, events=runs_on)
def test_time_up_is_no_error_and_says_how_to_go_on(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["timed_out"]
    assert not answer["terminal"]
    assert answer["task_status"] == "running"
    assert answer["progress"] == 0.35
    assert (
        answer["next_step"] == "The task runs on. Call stream_task_events again with the same task_id to go on waiting."
    )
    assert 1 <= outcome.took < 1 + SLACK
    assert not outcome.seen("cancel")


async def always_cut(exchange: Exchange, _: Subject) -> None:
    exchange.drop()


@scene("stream_task_events", SHORT_WAIT, events=always_cut, itself=always_cut)
def test_a_wait_in_which_nothing_was_heard_fails_and_names_the_task(outcome: Outcome) -> None:
    assert "Cyberun could not be reached" in outcome.refusal
    assert f"Task {outcome.id} is untouched by this and may well be running: wait for it again." in outcome.refusal
    assert 1 <= outcome.took < 1 + SLACK


async def unknown(exchange: Exchange, _: Subject) -> None:
    await exchange.json({"error_message": "resource not found"}, 404)


@scene("stream_task_events", WAIT, events=unknown, itself=unknown)
def test_a_task_of_another_team_is_an_error_at_once(outcome: Outcome) -> None:
    assert outcome.refusal.startswith("Cyberun HTTP 404: resource not found\n")
    assert "list_tasks" in outcome.refusal
    assert outcome.took < SLACK
    assert len(outcome.seen("events")) == len(outcome.seen("")) == 1
