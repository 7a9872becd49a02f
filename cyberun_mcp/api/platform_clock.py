"""The platform's clock, as the `Date` headers of its responses show it.

Times that the platform reports are compared with its own clock, because this machine's may be minutes off.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import anyio

from cyberun_mcp.api.responses import parse_http_date

FIRST_YEAR, LAST_YEAR = 2020, 9998  # a machine that does not know the time often says 1970


@dataclass(frozen=True)
class Moment:
    """A moment by both of this machine's clocks: `steady` stops while the machine sleeps, `wall` may be set."""

    steady: float
    wall: float

    @classmethod
    def now(cls) -> "Moment":
        """The current moment."""
        return cls(anyio.current_time(), time.time())

    def seconds_since(self, earlier: "Moment") -> float:
        """The seconds since `earlier`, by whichever clock shows more."""
        return max(self.steady - earlier.steady, self.wall - earlier.wall)

    def by_this_machine(self) -> datetime:
        """The moment by this machine's wall clock, right or wrong."""
        return datetime.fromtimestamp(self.wall, UTC)


class PlatformClock:
    """Remembers the newest `Date` header; every HTTP server that has a clock sends one (RFC 9110 §6.6.1)."""

    def __init__(self) -> None:
        self._date: str | None = None
        self._received = Moment(0.0, 0.0)

    def record(self, date: str | None) -> None:
        """Take the `Date` of a response that has just arrived. It is parsed in `time_at`, since few are ever needed."""
        if date:
            self._date, self._received = date, Moment.now()

    def time_at(self, moment: Moment) -> datetime | None:
        """The latest time the platform's clock can have shown at `moment`; None without a usable `Date`."""
        date = parse_http_date(self._date)
        if date is None or not FIRST_YEAR <= date.year <= LAST_YEAR:
            return None
        return date - timedelta(seconds=self._received.seconds_since(moment))
