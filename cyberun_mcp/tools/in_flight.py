"""The calls that are running, and how each of them ends when the process has to end before they do.

A wait answers with what it knows, because waiting again costs nothing. A run that has been sent is paid for, even if
nobody hears of its task. So it gets time to be answered, and if that is not enough, the caller and the log are told
that its outcome is unknown. Every other call is cancelled, and the caller may repeat it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from cyberun_mcp.errors import OutcomeUnknown

logger = logging.getLogger(__name__)


class RunInFlight:
    """A run from its sending until its outcome is known. `sent` says whether any of it may have left this machine."""

    def __init__(self, workflow: str) -> None:
        self.workflow = workflow
        self.sent = False
        self.scope = anyio.CancelScope()

    def note_sent(self) -> None:
        """The first byte is about to leave."""
        self.sent = True

    def note_refused(self) -> None:
        """The platform has not accepted it."""
        self.sent = False

    def log_unknown(self) -> None:
        """Tell the log, whoever else can still be told."""
        logger.error("workflow=%s: the run was sent, but whether it was accepted is unknown", self.workflow)


class CallInFlight:
    """One tool call, and the wait or the run that it makes."""

    def __init__(self, calls: "CallsInFlight") -> None:
        self._calls = calls
        self.scope = anyio.CancelScope()
        self.waiting: anyio.CancelScope | None = None
        self.running: RunInFlight | None = None

    @contextmanager
    def wait(self) -> Iterator[anyio.CancelScope]:
        """A scope for waiting, which is left early when no wait may go on."""
        with anyio.CancelScope() as self.waiting:
            if self._calls.waits_are_over:
                self.waiting.cancel()
            yield self.waiting

    @contextmanager
    def run(self, workflow: str) -> Iterator[RunInFlight]:
        """Around sending a run and learning its outcome. Raises OutcomeUnknown when there is no more time for that."""
        self.running = run = RunInFlight(workflow)
        try:
            with run.scope:
                yield run
        except anyio.get_cancelled_exc_class():
            if run.sent:
                run.log_unknown()
            raise
        finally:
            self.running = None
            self._calls.note_change()
        if run.scope.cancelled_caught:
            run.log_unknown()
            raise _no_time_left(run)


class CallsInFlight:
    """All calls of a process."""

    def __init__(self) -> None:
        self.waits_are_over = False
        self._calls: set[CallInFlight] = set()
        self._changed = anyio.Event()

    @contextmanager
    def call(self) -> Iterator[CallInFlight]:
        """Around one call. Where it is cancelled here, the block is left early."""
        call = CallInFlight(self)
        self._calls.add(call)
        try:
            with call.scope:
                yield call
        finally:
            self._calls.remove(call)

    def end_waits(self) -> None:
        """Have waits answer with what they know, now and from now on."""
        self.waits_are_over = True
        for call in self._calls:
            if call.waiting:
                call.waiting.cancel()

    def cancel_all_but_sent_runs(self) -> None:
        """Cancel every call that nobody pays for."""
        for call in self._calls:
            if not (call.running and call.running.sent):
                call.scope.cancel()

    async def sent_runs_to_end(self) -> None:
        """Wait until no run is left whose outcome is open; the log learns first which ones there are."""
        for run in self._sent_runs():
            logger.warning("workflow=%s: the run was sent, and this process waits for its answer to end", run.workflow)
        while self._sent_runs():
            self._changed = anyio.Event()
            await self._changed.wait()

    def give_up_runs(self) -> None:
        """Have the runs that are still open answer that their outcome is unknown."""
        for run in self._sent_runs():
            run.scope.cancel()

    def note_change(self) -> None:
        """A run is over."""
        self._changed.set()

    def _sent_runs(self) -> list[RunInFlight]:
        return [call.running for call in self._calls if call.running and call.running.sent]


def _no_time_left(run: RunInFlight) -> OutcomeUnknown:
    unknown = OutcomeUnknown(
        f"This server had to end before the run of workflow {run.workflow} was answered.\n"
        "The run was sent, but whether it was accepted is unknown."
    )
    unknown.advice = "Do not run it again yet: look with list_tasks first."
    return unknown
