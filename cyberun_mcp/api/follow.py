"""Follows a task until it ends, whatever happens to its event stream.

    listen ──► events … ──► terminal ─────────────► fetch what the stream did not carry ──► done
       ▲          │ dropped, ended, silent
       │          ▼
       └─ pause ◄─ poll GET /r/tasks/{id} ──► terminal ─► (same)

Silence is measured in events: heartbeats may keep a stream open although the event that matters was lost. A stream that
is open but silent stays open while the task is polled. If the stream is not available at all (a proxy's 404, 405 or
HTML page, an oversized event), the loop only polls. It polls once more at the deadline.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import anyio

from cyberun_mcp.api.events import STATE_EVENTS, TaskState, read_events
from cyberun_mcp.api.permanent_errors import PermanentErrors, is_transient
from cyberun_mcp.api.responses import JsonObject
from cyberun_mcp.api.retry import exponential_delay
from cyberun_mcp.api.throttle import BACKLOG
from cyberun_mcp.errors import ApiError, CyberunError, UnexpectedResponse, Unreachable

if TYPE_CHECKING:
    import httpx2

    from cyberun_mcp.api.client import CyberunClient

logger = logging.getLogger(__name__)

FIRST_RECONNECT = 0.1  # seconds; doubled up to `poll_interval` while nothing new is learned
RESULT_TIMEOUT = 10.0  # seconds; the task has ended, and a slow result endpoint must not delay that news
LAST_POLL = 2.0  # seconds after the deadline for the last poll; clients give up later than the wait we give them
LONGEST_PAUSE = 5  # poll intervals; a wait of 45 s that honored `Retry-After: 86400` would never poll again


@dataclass
class StateSource:
    """Where the state came from. `via` names the source of the newest state: none, events or polling."""

    via: str = "none"
    events: int = 0
    reconnects: int = 0
    polls: int = 0


class TaskFollower:
    """One wait for one task. `state` and `source` are current at any moment, so a timeout can report them."""

    def __init__(self, client: "CyberunClient", task_id: str, on_change: Callable[[TaskState], None]) -> None:
        self.state = TaskState(task_id)
        self.source = StateSource()
        self._client = client
        self._on_change = on_change
        self._last_error: CyberunError | None = None
        self._permanent = PermanentErrors(lambda: client.submitted_seconds_ago(task_id))
        # The earliest times (anyio's clock) for the next attempt; `inf` when the stream is not available at all.
        self._next_listen_at = 0.0
        self._next_poll_at = 0.0
        # The time of the last event, or of the last poll during a silence; and the bytes received until then.
        self._last_event_at = 0.0
        self._bytes_received = 0
        self._polled_while_listening = False  # whether a poll, not an event, ended the last stream

    async def until_terminal(self) -> bool:
        """Wait until the task is terminal or the client's deadline is reached. Returns whether it is terminal.

        Raises ApiError when this caller may not see the task, and the last error (Unreachable, UnexpectedResponse,
        ApiError) when nothing at all was learned before the deadline.
        """
        deadline = self._client.deadline
        with self._dropping_errors():
            with anyio.CancelScope(deadline=deadline):
                await self._follow()
            with anyio.CancelScope(deadline=deadline + LAST_POLL):
                if not self.state.terminal:
                    # The task may have ended unnoticed: an event can be lost, and the next poll was not due yet.
                    await self._poll(self._client.until(deadline + LAST_POLL))
                await self._fetch_outcome()
            return self._is_terminal()

    async def stop_waiting(self) -> bool:
        """Whether the task is terminal, for a wait that must end now. Polls once if no state is known yet.

        Raises what `until_terminal` raises.
        """
        with self._dropping_errors():
            if self.state.task_status is None:
                deadline = anyio.current_time() + LAST_POLL
                with anyio.CancelScope(deadline=deadline):
                    await self._poll(self._client.until(deadline))
            return self._is_terminal()

    @contextmanager
    def _dropping_errors(self) -> Iterator[None]:
        """Drops the stored errors at the end of the wait.

        Their tracebacks refer back to this object. That cycle would keep the whole request in memory until a garbage
        collection.
        """
        try:
            yield
        finally:
            self._last_error = None
            self._permanent.clear()

    def _is_terminal(self) -> bool:
        if self.state.task_status is None:
            # Not in a variable of its own: the error's traceback would refer back to it.
            raise self._final(
                self._last_error or Unreachable("nothing was heard of the task in the time allowed", sent=True)
            )
        return self.state.terminal

    def _final(self, error: CyberunError) -> CyberunError:
        """The error of a wait that gives up. It names the task, unless the task is ruled out for this caller."""
        if error is self._permanent.task_ruled_out:
            return error
        return error.with_hints(
            details=f"Task {self.state.task_id} is untouched by this and may well be running: wait for it again."
        )

    async def _follow(self) -> None:
        rounds_without_news = 0
        while True:
            before = self.state
            self._polled_while_listening = False
            if anyio.current_time() >= self._next_listen_at:
                await self._listen()
            if not self.state.terminal and not self._polled_while_listening:
                await self._poll(self._client)
            if self._permanent.confirmed is not None:
                raise self._final(self._permanent.confirmed)
            if self.state.terminal:
                return
            rounds_without_news = 0 if self.state != before else rounds_without_news + 1
            await anyio.sleep(self._pause(rounds_without_news))
            if anyio.current_time() >= self._next_listen_at:
                self.source.reconnects += 1

    def _pause(self, rounds_without_news: int) -> float:
        poll_interval = self._client.settings.poll_interval
        now = anyio.current_time()
        if self._next_listen_at > now:
            pause = min(poll_interval, self._next_listen_at - now)
        else:
            longest = exponential_delay(FIRST_RECONNECT, rounds_without_news, poll_interval)
            pause = random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret
        return max(pause, self._next_poll_at - now)

    async def _listen(self) -> None:
        """Read the stream until the task is terminal, or until the stream fails or is closed as useless."""
        try:
            async with (
                self._client.task_events(self.state.task_id) as response,
                aclosing(read_events(response)) as events,
            ):
                self._restart_silence(response)
                with anyio.CancelScope() as listening:
                    # A plain task, because a task group would take 2 KiB of each wait.
                    watch = asyncio.create_task(self._poll_during_silence(response, listening))
                    try:
                        await self._read(response, events)
                    finally:
                        watch.cancel()
        except (ApiError, UnexpectedResponse, Unreachable) as error:
            self._schedule_next_listen(error)

    async def _read(self, response: "httpx2.Response", events: AsyncGenerator[tuple[str, JsonObject], None]) -> None:
        resumed_at = anyio.current_time()
        async for name, data in events:
            if self.state.terminal:
                return  # by a poll in the meantime
            if not self.state.is_about(data):
                logger.debug("task %s: ignored an event of another task", self.state.task_id)
                continue
            self.source.events += 1
            state = self.state.after(name, data)
            if name in STATE_EVENTS:
                self._restart_silence(response)
                self._learn(state, via="events")
            if state.terminal:
                return
            # Read the backlog before the next pause. Events that arrived together wait for one pause, not one each.
            pause = self._client.throttle.pause
            if pause and anyio.current_time() - resumed_at > BACKLOG:
                self._last_event_at += pause  # the stream is not silent while we sleep
                await anyio.sleep(pause)
                resumed_at = anyio.current_time()

    async def _poll_during_silence(self, response: "httpx2.Response", listening: anyio.CancelScope) -> None:
        """Poll the task after each `events_idle` seconds without an event; close a stream that is dead or outdated."""
        while True:
            due = max(self._last_event_at + self._client.settings.events_idle, self._next_poll_at)
            if anyio.current_time() < due:
                await anyio.sleep_until(due)
                continue  # an event may have moved the due time
            if response.num_bytes_downloaded == self._bytes_received:
                return listening.cancel()  # not even a heartbeat: the connection may be dead
            changed = await self._poll(self._client)
            if changed or self._permanent.confirmed is not None:
                self._polled_while_listening = True
                return listening.cancel()  # the wait is over, or the stream has missed a change
            self._restart_silence(response)

    def _restart_silence(self, response: "httpx2.Response") -> None:
        self._last_event_at = anyio.current_time()
        self._bytes_received = response.num_bytes_downloaded

    def _schedule_next_listen(self, error: ApiError | UnexpectedResponse | Unreachable) -> None:
        """Decide after a failed stream whether to listen again at once, later or never."""
        self._note_error("the event stream failed", error)
        missing = isinstance(error, ApiError) and error.status == 404
        if missing and self.state.task_status is None and self._permanent.just_submitted():
            return
        if not is_transient(error):
            self._next_listen_at = inf
        elif retry_after := getattr(error, "retry_after", None):
            self._next_listen_at = self._time_after(retry_after)

    async def _poll(self, client: "CyberunClient") -> bool:
        """Read the task once. Returns whether that changed the state; errors go to `_permanent`."""
        self.source.polls += 1
        sent_at = anyio.current_time()
        try:
            task = self._checked(await client.poll_task(self.state.task_id))
        except CyberunError as error:
            self._note_error("asking for its state failed", error)
            self._next_poll_at = self._time_after(getattr(error, "retry_after", None) or 0.0)
            self._permanent.record(error, task_seen=self.state.task_status is not None)
            return False
        self._permanent.task_found()
        state = self.state.after_poll(task)
        if self._last_event_at > sent_at and not state.terminal:
            return False  # an event that arrived meanwhile is newer than this response
        return self._learn(state, via="polling")

    def _checked(self, response: JsonObject) -> JsonObject:
        if not self.state.is_about(response):
            raise UnexpectedResponse(200, "the answer is about another task")
        return response

    def _note_error(self, failure: str, error: CyberunError) -> None:
        logger.warning("task %s: %s: %s", self.state.task_id, failure, error)
        self._last_error = error

    def _time_after(self, seconds: float) -> float:
        """The time in `seconds`, capped at LONGEST_PAUSE poll intervals."""
        return anyio.current_time() + min(seconds, LONGEST_PAUSE * self._client.settings.poll_interval)

    async def _fetch_outcome(self) -> None:
        """Read over REST what the terminal state lacks: the error of a failed task, the output of a completed one."""
        client = self._client.until(min(self._client.deadline + LAST_POLL, anyio.current_time() + RESULT_TIMEOUT))
        try:
            if self.state.task_status == "failed" and self.state.error is None and self.source.via == "events":
                self.state = self.state.after_poll(self._checked(await client.get_task(self.state.task_id)))
            if self.state.task_status == "completed" and self.state.output is None:
                output = self._checked(await client.get_task_result(self.state.task_id)).get("task_output")
                self.state = replace(self.state, output=output if isinstance(output, dict) else None)
        except CyberunError as error:
            # The end of the task is worth reporting without its output: get_task_result can still fetch that.
            logger.warning("task %s ended, but its outcome could not be read: %s", self.state.task_id, error)

    def _learn(self, state: TaskState, via: str) -> bool:
        """Take over a state that was just received. Returns whether it is new."""
        self.source.via = via
        if state == self.state:
            return False
        self.state = state
        self._on_change(state)
        return True
