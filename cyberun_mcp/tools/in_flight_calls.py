"""The tool calls that are running, and how each of them ends when the process has to shut down first.

A wait returns the last known state, because waiting again is free. A run that was sent is paid for, even if the caller
never learns its task id. So it gets time to be answered. If that is not enough, the caller and the log are told that
its outcome is unknown. Every other call is canceled; the caller may repeat it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from cyberun_mcp.errors import OutcomeUnknown

logger = logging.getLogger(__name__)


class RunInFlight:
    """A run that is being sent. `sent` is True while bytes of it may have left and its outcome is unknown."""

    def __init__(self, workflow: str) -> None:
        self.workflow = workflow
        self.sent = False
        self.scope = anyio.CancelScope()

    def mark_sent(self) -> None:
        """The first byte is about to leave."""
        self.sent = True

    def mark_rejected(self) -> None:
        """The platform has not accepted the run."""
        self.sent = False

    def log_unknown_outcome(self) -> None:
        """Write the log line for a run that was sent and not answered."""
        logger.error("workflow=%s: the run was sent, but whether it was accepted is unknown", self.workflow)


class CallInFlight:
    """One tool call, and the wait or the run inside it."""

    def __init__(self, calls: "CallsInFlight") -> None:
        self._calls = calls
        self.scope = anyio.CancelScope()
        self.wait_scope: anyio.CancelScope | None = None
        self.current_run: RunInFlight | None = None

    @contextmanager
    def wait(self) -> Iterator[anyio.CancelScope]:
        """A scope for waiting. It is canceled when all waits have to end."""
        with anyio.CancelScope() as self.wait_scope:
            if self._calls.waits_are_over:
                self.wait_scope.cancel()
            yield self.wait_scope

    @contextmanager
    def run(self, workflow: str) -> Iterator[RunInFlight]:
        """A scope for sending a run and reading its outcome. Raises OutcomeUnknown when there is no time left."""
        self.current_run = run = RunInFlight(workflow)
        try:
            with run.scope:
                yield run
        except anyio.get_cancelled_exc_class():
            if run.sent:
                run.log_unknown_outcome()
            raise
        finally:
            self.current_run = None
            self._calls.notify_run_ended()
        if run.scope.cancelled_caught:
            run.log_unknown_outcome()
            raise OutcomeUnknown(
                f"This server had to end before the run of workflow {run.workflow} was answered.\n"
                "The run was sent, but whether it was accepted is unknown.",
                advice="Do not run it again yet: look with list_tasks first.",
            )


class CallsInFlight:
    """All running tool calls of a process."""

    def __init__(self) -> None:
        self.waits_are_over = False
        self._calls: set[CallInFlight] = set()
        self._run_ended = anyio.Event()

    @contextmanager
    def call(self) -> Iterator[CallInFlight]:
        """A scope for one call. When the call is canceled during shutdown, the block ends without an exception."""
        call = CallInFlight(self)
        self._calls.add(call)
        try:
            with call.scope:
                yield call
        finally:
            self._calls.remove(call)

    def end_waits(self) -> None:
        """Make all waits return their last known state, the present ones and later ones."""
        self.waits_are_over = True
        for call in self._calls:
            if call.wait_scope:
                call.wait_scope.cancel()

    def cancel_all_but_sent_runs(self) -> None:
        """Cancel every call that can be repeated without paying twice."""
        for call in self._calls:
            if not (call.current_run and call.current_run.sent):
                call.scope.cancel()

    async def sent_runs_to_end(self) -> None:
        """Log the runs that were sent and not answered yet, then wait until each of them has ended."""
        for run in self._sent_runs():
            logger.warning("workflow=%s: the run was sent, and this process waits for its answer to end", run.workflow)
        while self._sent_runs():
            self._run_ended = anyio.Event()
            await self._run_ended.wait()

    def give_up_runs(self) -> None:
        """Make the runs that are still unanswered raise OutcomeUnknown."""
        for run in self._sent_runs():
            run.scope.cancel()

    def notify_run_ended(self) -> None:
        """A run has ended; wakes `sent_runs_to_end`."""
        self._run_ended.set()

    def _sent_runs(self) -> list[RunInFlight]:
        return [call.current_run for call in self._calls if call.current_run and call.current_run.sent]
