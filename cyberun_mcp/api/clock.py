"""The platform's clock, as its answers tell it.

What happened on the platform is compared with the time on the platform: this machine's clock may be minutes off.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import anyio

from cyberun_mcp.api.answers import parse_http_date

FIRST_YEAR, LAST_YEAR = 2020, 9998  # a machine that does not know the time often says 1970


@dataclass(frozen=True)
class Moment:
    """A moment by both of this machine's clocks: one stops while the machine sleeps, the other may be set."""

    steady: float
    wall: float

    @classmethod
    def now(cls) -> "Moment":
        """This very moment."""
        return cls(anyio.current_time(), time.time())

    def seconds_since(self, earlier: "Moment") -> float:
        """How long ago `earlier` was: as long as either clock says."""
        return max(self.steady - earlier.steady, self.wall - earlier.wall)

    def by_this_machine(self) -> datetime:
        """The moment by this machine's clock, right or wrong."""
        return datetime.fromtimestamp(self.wall, UTC)


class PlatformClock:
    """Remembers the newest `Date` header; every HTTP server that has a clock sends one (RFC 9110 §6.6.1)."""

    def __init__(self) -> None:
        self._date: str | None = None
        self._received = Moment(0.0, 0.0)

    def note(self, date: str | None) -> None:
        """Take the `Date` of an answer that came just now. It is parsed later, since few answers are ever asked."""
        if date:
            self._date, self._received = date, Moment.now()

    def at(self, moment: Moment) -> datetime | None:
        """The latest that the platform's clock can have shown at a moment; None when no answer had a usable `Date`."""
        date = parse_http_date(self._date)
        if date is None or not FIRST_YEAR <= date.year <= LAST_YEAR:
            return None
        return date - timedelta(seconds=self._received.seconds_since(moment))
