"""What the platform, or whatever stands in for it, may send without harming anyone."""

import time
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

from cyberun_mcp.api import answers
from cyberun_mcp.api.answers import error_from, parse_json, parse_object, parse_retry_after
from cyberun_mcp.errors import ApiError, UnexpectedAnswer


def refused(body: bytes, content_type: str = "text/html") -> str:
    return str(error_from(httpx2.Response(503, headers={"Content-Type": content_type}), body))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": NaN, "b": [Infinity, -Infinity]}', {"a": None, "b": [None, None]}),
        (b'{"a": 1e999, "b": 1.5}', {"a": None, "b": 1.5}),
        (rb'{"a": "x\ud800y", "\udfff": "\ud83e\udd8a"}', {"a": "x?y", "?": "🦊"}),
        ('{"a": "\\ud800"}', {"a": "?"}),
        (b"[" * 100_000, None),
        (b'{"a": ' + b"9" * 10_000 + b"}", None),
        (b"\xff\xfe{}", None),
        (b"", None),
    ],
)
def test_what_json_can_spell_but_nobody_can_carry_on_is_replaced_or_refused(body: bytes | str, value: Any) -> None:
    assert parse_json(body) == value


def test_an_answer_that_is_no_object_is_named() -> None:
    with pytest.raises(UnexpectedAnswer, match="not a JSON object but application/json: \\[1\\]"):
        parse_object(200, "application/json; charset=utf-8", b"[1]")


@pytest.mark.parametrize("end", ["</style>", ""])
def test_a_page_is_quoted_by_its_words_not_its_styles(end: str) -> None:
    page = f"<html><h1>Bad gateway</h1><style>p{{color:red}}{'x' * 20_000}{end}</html>"
    assert "color" not in refused(page.encode())
    assert "text/html: Bad gateway" in refused(page.encode())


def test_the_platforms_message_is_verbatim_up_to_a_bound() -> None:
    error = error_from(httpx2.Response(400), b'{"error_message": "' + b"x" * 2_000_000 + b'"}')
    assert isinstance(error, ApiError)
    assert len(str(error)) < 5_000


class OneMoment(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "OneMoment":
        return cls(2026, 11, 27, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1", 1),
        ("0.5", 0.5),
        ("Fri, 27 Nov 2026 12:00:02 GMT", 1.75),
        ("Fri, 27 Nov 2026 13:00:00 GMT", 3599.75),
        ("Fri, 27 Nov 2026 11:59:00 GMT", 0),
        ("-1", 0),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    monkeypatch: pytest.MonkeyPatch, value: str | None, seconds: float | None
) -> None:
    monkeypatch.setattr(answers, "datetime", OneMoment)
    assert parse_retry_after(value) == seconds


@pytest.mark.parametrize("piece", ["<", "<script", "<style>", "</", "<a ", "&"])
def test_a_hostile_page_takes_time_in_proportion_to_its_length(piece: str) -> None:
    began = time.process_time()
    refused((piece * 100_000).encode())
    refused(b'{"odd": "' + (piece * 100_000).encode() + b'"}', "application/json")
    assert time.process_time() - began < 30  # a tenth of a second; where time grows faster than length, minutes


@pytest.mark.parametrize("minutes", [-10, 0, 10])
def test_a_date_to_come_back_at_is_measured_by_the_platforms_clock(minutes: int) -> None:
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    at, date = (format_datetime(each, usegmt=True) for each in (now + timedelta(seconds=30), now))
    assert parse_retry_after(at, date) == 30


@pytest.mark.parametrize("date", [None, "", "soon", "Sun, 06 Nov 99999 08:49:37 GMT"])
def test_a_date_to_come_back_at_counts_without_the_time_too(date: str | None) -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3_000 < (parse_retry_after(in_an_hour, date) or 0) <= 3_600
    assert parse_retry_after("yesterday", date) is None
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", date) == 0
