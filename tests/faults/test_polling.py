"""Where events cannot be had, the task is asked for its state instead."""

from collections.abc import Mapping
from itertools import pairwise

import pytest

from tests.faults.exchange import Exchange
from tests.faults.platform import Script, Subject
from tests.faults.stage import HASTY, POLL, Outcome, scene
from tests.faults.waits import WAIT, completes_when_asked_thrice, events_after_trouble, is_done, was_polled


def blocked(
    status: int,
    kind: str = "application/json",
    body: str = '{"error_message": "no events here"}',
    headers: Mapping[str, str] | None = None,
) -> Script:
    async def script(exchange: Exchange, _: Subject) -> None:
        await exchange.text(body, kind, status, headers)

    return script


@scene("stream_task_events", WAIT, events=blocked(404), itself=completes_when_asked_thrice)
def test_a_task_without_an_event_stream_is_polled(outcome: Outcome) -> None:
    was_polled(outcome)


@scene("stream_task_events", WAIT, HASTY, events=blocked(404), itself=completes_when_asked_thrice)
def test_a_task_without_an_event_stream_is_asked_every_poll_interval(timed: Outcome) -> None:
    was_polled(timed)
    asked = [seen.at for seen in timed.seen("")]
    assert [later - earlier for earlier, later in pairwise(asked)] == pytest.approx([POLL, POLL])


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
        return await exchange.json({"error_message": "slow down"}, 429, {"Retry-After": "0.2"})
    return await events_after_trouble(exchange, subject)


busy = scene("stream_task_events", WAIT, events=busy_at_first)


@busy
def test_a_busy_event_stream_is_tried_again(outcome: Outcome) -> None:
    is_done(outcome)
    assert len(outcome.seen("events")) == 2


@busy
def test_a_busy_event_stream_is_left_alone_as_long_as_it_asks(timed: Outcome) -> None:
    is_done(timed)
    first, second = timed.seen("events")
    assert second.at - first.at == pytest.approx(0.2)


async def enormous_event(exchange: Exchange, subject: Subject) -> None:
    await exchange.open_events()
    await exchange.raw(b"1400000\r\nevent: progress\ndata: ")
    for _ in range(20):
        await exchange.raw(b"x" * 2**20)
    await exchange.stall()


@scene("stream_task_events", WAIT, events=enormous_event, itself=completes_when_asked_thrice)
def test_an_event_of_20_megabytes_is_not_read_to_its_end_and_the_task_is_polled(outcome: Outcome) -> None:
    was_polled(outcome)
