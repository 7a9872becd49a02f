"""How a `Retry-After` header is read, at one moment that a test has chosen."""

from datetime import UTC, datetime, tzinfo

import pytest

from cyberun_mcp.api import answers
from cyberun_mcp.api.answers import parse_retry_after


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
