"""Which errors of the platform end a wait.

A wait that gives up on a task that exists invites a second run, which is paid for again.
"""

from collections.abc import Callable

import anyio

from cyberun_mcp.errors import TRANSIENT_STATUSES, ApiError, CyberunError, UnexpectedResponse

NOT_YET_FOUND = 60.0  # seconds after a run in which some servers of the platform may not know its task yet
CONFIRMATION_PERIOD = 15.0  # seconds an error that may go away must persist before it ends the wait
_NOT_FOR_THIS_CALLER = frozenset({400, 401, 403})


def is_transient(error: CyberunError) -> bool:
    """Whether the same request may succeed later: there was no response, or one that reports a temporary problem."""
    if not isinstance(error, ApiError | UnexpectedResponse):
        return True
    return error.status in TRANSIENT_STATUSES or error.status >= 500


class PermanentErrors:
    """Decides which error ends one wait.

    `confirmed` is the error that ends it. `task_ruled_out` is the same error if it also shows that this caller has no
    such task; any other error leaves the possibility that the task is running.

    `submitted_ago` returns how many seconds ago the task was submitted, None when that is unknown.
    """

    def __init__(self, submitted_ago: Callable[[], float | None]) -> None:
        self.confirmed: ApiError | None = None
        self.task_ruled_out: ApiError | None = None
        self._submitted_ago = submitted_ago
        self._since: float | None = None

    def just_submitted(self) -> bool:
        """Whether the task was submitted so recently that it may not be found yet."""
        age = self._submitted_ago()
        return age is not None and age < NOT_YET_FOUND

    def task_found(self) -> None:
        """The task was found, so earlier errors no longer count."""
        self._since = None

    def clear(self) -> None:
        """Drop the errors; the wait is over."""
        self.confirmed = self.task_ruled_out = None

    def record(self, error: CyberunError, *, task_seen: bool) -> None:
        """Take a failed request for the task into account. `task_seen` says whether any state of it is known."""
        if is_transient(error) or not isinstance(error, ApiError):
            self._since = None
            return
        now = anyio.current_time()
        self._since = now if self._since is None else self._since
        does_not_exist = error.status == 404 and not task_seen and not self.just_submitted()
        if error.status in _NOT_FOR_THIS_CALLER or does_not_exist:
            self.task_ruled_out = self.confirmed = error
        elif now - self._since >= CONFIRMATION_PERIOD:
            self.confirmed = error
