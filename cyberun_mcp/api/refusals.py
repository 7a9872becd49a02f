"""Which "no" of the platform ends a wait. Giving up on a task that exists invites a second run, which is paid again."""

from collections.abc import Callable

import anyio

from cyberun_mcp.errors import PASSING_STATUSES, ApiError, CyberunError, UnexpectedAnswer

NEWBORN = 60.0  # seconds after a run in which some servers of the platform may not know its task yet
STANDS = 15.0  # seconds a refusal that may be taken back must stand before it is believed
_NOT_FOR_THIS_CALLER = frozenset({400, 401, 403})


def may_pass(failure: CyberunError) -> bool:
    """Whether the same request may succeed in a while: there was no answer, or one that tells of passing trouble."""
    if not isinstance(failure, ApiError | UnexpectedAnswer):
        return True
    return failure.status in PASSING_STATUSES or failure.status >= 500


class Refusals:
    """What one wait was refused. `believed` is the refusal that ends it; `settled` is that, where it needed no proof.

    `submitted_ago` tells how many seconds ago the task was submitted, where that is known.
    """

    def __init__(self, submitted_ago: Callable[[], float | None]) -> None:
        self.believed: ApiError | None = None
        self.settled: ApiError | None = None
        self._submitted_ago = submitted_ago
        self._since: float | None = None

    def newborn(self) -> bool:
        """Whether the task was submitted so recently that it may not be found yet."""
        age = self._submitted_ago()
        return age is not None and age < NEWBORN

    def found(self) -> None:
        """The task was found."""
        self._since = None

    def forget(self) -> None:
        """Drop the errors; the wait is over."""
        self.believed = self.settled = None

    def weigh(self, failure: CyberunError, *, seen: bool) -> None:
        """Take a failed question into account. `seen` says whether the task was ever heard of."""
        if may_pass(failure) or not isinstance(failure, ApiError):
            self._since = None
            return
        now = anyio.current_time()
        self._since = now if self._since is None else self._since
        not_there = failure.status == 404 and not seen and not self.newborn()
        if failure.status in _NOT_FOR_THIS_CALLER or not_there:
            self.settled = self.believed = failure
        elif now - self._since >= STANDS:
            self.believed = failure
