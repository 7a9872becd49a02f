"""Parsing a `Retry-After` header at a fixed time."""

from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime

import pytest

from cyberun_mcp.api import responses
from cyberun_mcp.api.responses import parse_retry_after


class FixedTime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "FixedTime":
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
def test_retry_after_is_seconds_or_a_date(
    monkeypatch: pytest.MonkeyPatch, value: str | None, seconds: float | None
) -> None:
    monkeypatch.setattr(responses, "datetime", FixedTime)
    assert parse_retry_after(value) == seconds


@pytest.mark.parametrize("minutes", [-10, 0, 10])
def test_a_date_is_compared_with_the_date_of_the_response_not_with_our_clock(
    monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    monkeypatch.setattr(responses, "datetime", FixedTime)
    platform_now = FixedTime.now() + timedelta(minutes=minutes)
    until, date = (
        format_datetime(moment, usegmt=True) for moment in (platform_now + timedelta(seconds=30), platform_now)
    )
    assert parse_retry_after(until, date) == 30


@pytest.mark.parametrize("date", [None, "", "soon", "Sun, 06 Nov 99999 08:49:37 GMT"])
def test_a_date_is_compared_with_our_clock_if_the_response_has_no_date(
    monkeypatch: pytest.MonkeyPatch, date: str | None
) -> None:
    monkeypatch.setattr(responses, "datetime", FixedTime)
    assert parse_retry_after("Fri, 27 Nov 2026 13:00:00 GMT", date) == 3599.75
    assert parse_retry_after("yesterday", date) is None
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", date) == 0
