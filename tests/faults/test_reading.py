"""What a stream of events may look like without upsetting a wait."""

import asyncio
from itertools import pairwise

import pytest

from tests.faults.exchange import Exchange
from tests.faults.platform import Subject
from tests.faults.stage import Outcome, scene
from tests.faults.waits import OUTPUT, WAIT, complete, is_done


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


wild = scene("stream_task_events", WAIT, events=wild_progress)


def rises(values: list[float]) -> bool:
    return all(earlier < later for earlier, later in pairwise([-1, *values])) and values[-1] == 1


@wild
def test_progress_that_repeats_goes_back_or_is_no_number_still_rises_for_the_client(outcome: Outcome) -> None:
    is_done(outcome)
    assert rises([told.value for told in outcome.told])


@wild
def test_progress_that_repeats_goes_back_or_is_no_number_is_told_all_the_same(timed: Outcome) -> None:
    is_done(timed)
    values = [told.value for told in timed.told]
    assert rises(values)
    assert values == pytest.approx([0, 0.5, 0.5, 0.5, 0.999, 0.999, 0.999, 0.999, 0.999, 1])
