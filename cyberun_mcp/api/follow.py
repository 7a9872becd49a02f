"""Following a task to its end, whatever happens to the event stream on the way.

    listen ──► events … ──► terminal ─────────────► confirm what the stream did not carry ──► done
       ▲          │ dropped, ended, silent
       │          ▼
       └─ pause ◄─ ask GET /r/tasks/{id} ──► terminal ─► (same)

Silence is measured in events, since a stream may be kept open by heartbeats while the event that matters was lost. A
stream that lives but says nothing stays open, and the task is asked meanwhile. Where the stream cannot be had at all (a
proxy's 404, 405 or HTML page, an oversized event) the loop goes on by asking. The deadline asks once more.
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

from cyberun_mcp.api.answers import JsonObject
from cyberun_mcp.api.backoff import doubled
from cyberun_mcp.api.events import TELLING, TaskState, read_events
from cyberun_mcp.api.refusals import Refusals, may_pass
from cyberun_mcp.api.throttle import AT_ONCE
from cyberun_mcp.errors import ApiError, CyberunError, UnexpectedAnswer, Unreachable

if TYPE_CHECKING:
    import httpx2

    from cyberun_mcp.api.client import CyberunClient

logger = logging.getLogger(__name__)

FIRST_RECONNECT = 0.1  # seconds; doubled while nothing new is learned, up to `poll_interval`
CONFIRMATION = 10.0  # seconds; the task has ended, and its end must not wait for a lame result endpoint
LAST_LOOK = 2.0  # seconds after the deadline for asking once more; clients give up later than the wait we give them
LONGEST_PAUSE = 5  # poll intervals; a wait of 45 s that honored `Retry-After: 86400` would never ask again


@dataclass
class Source:
    """Where the knowledge came from: `via` names what brought the last state."""

    via: str = "none"
    events: int = 0
    reconnects: int = 0
    polls: int = 0


class Follower:
    """One wait for one task. `state` and `source` are current at any moment, so a time-out can report them."""

    def __init__(self, client: "CyberunClient", task_id: str, on_change: Callable[[TaskState], None]) -> None:
        self.state = TaskState(task_id)
        self.source = Source()
        self._client = client
        self._on_change = on_change
        self._trouble: CyberunError | None = None
        self._refusals = Refusals(lambda: client.submitted_seconds_ago(task_id))
        # Times by anyio's clock. Neither is tried again before; `inf` when the stream cannot be had at all.
        self._listen_again_at = 0.0
        self._ask_again_at = 0.0
        # The time of the last event, or of the last poll during a silence; and the bytes received until then.
        self._heard_at = 0.0
        self._heard_bytes = 0
        self._asked_meanwhile = False  # whether the last stream was ended because of an answer about the task itself

    async def until_terminal(self) -> bool:
        """Wait until the task is terminal or the client's deadline is reached; tells which: True when terminal.

        Raises ApiError when the platform does not let this caller see the task, and the last trouble (Unreachable,
        UnexpectedAnswer, ApiError) when nothing at all could be learned before the deadline.
        """
        deadline = self._client.deadline
        with self._forgetting_errors():
            with anyio.CancelScope(deadline=deadline):
                await self._follow()
            with anyio.CancelScope(deadline=deadline + LAST_LOOK):
                if not self.state.terminal:
                    # The end may have come unnoticed: an event can get lost, and a poll waits for its turn.
                    await self._ask(self._client.until(deadline + LAST_LOOK))
                await self._confirm()
            return self._is_terminal()

    async def at_once(self) -> bool:
        """Whether the task is terminal, for a wait that must end now. Asks once where nothing is known yet.

        Raises what `until_terminal` does.
        """
        with self._forgetting_errors():
            if self.state.task_status is None:
                deadline = anyio.current_time() + LAST_LOOK
                with anyio.CancelScope(deadline=deadline):
                    await self._ask(self._client.until(deadline))
            return self._is_terminal()

    @contextmanager
    def _forgetting_errors(self) -> Iterator[None]:
        """Drops the errors at the end of the wait.

        Their tracebacks lead back to the wait. If it kept them, this cycle would hold the whole request in memory until
        a garbage collection.
        """
        try:
            yield
        finally:
            self._trouble = None
            self._refusals.forget()

    def _is_terminal(self) -> bool:
        if self.state.task_status is None:
            raise self._final(
                self._trouble or Unreachable("nothing was heard of the task in the time allowed", sent=True)
            )
        return self.state.terminal

    def _final(self, error: CyberunError) -> CyberunError:
        """The error of a wait that gives up; it names the task, unless there is none for this caller."""
        if error is not self._refusals.settled:
            error.details = (
                f"Task {self.state.task_id} is untouched by this and may well be running: wait for it again."
            )
        return error

    async def _follow(self) -> None:
        rounds_without_news = 0
        while True:
            before = self.state
            self._asked_meanwhile = False
            if anyio.current_time() >= self._listen_again_at:
                await self._listen()
            if not self.state.terminal and not self._asked_meanwhile:
                await self._ask(self._client)
            if self._refusals.believed is not None:
                raise self._final(self._refusals.believed)
            if self.state.terminal:
                return
            rounds_without_news = 0 if self.state != before else rounds_without_news + 1
            await anyio.sleep(self._pause(rounds_without_news))
            if anyio.current_time() >= self._listen_again_at:
                self.source.reconnects += 1

    def _pause(self, rounds_without_news: int) -> float:
        poll_interval = self._client.settings.poll_interval
        now = anyio.current_time()
        if self._listen_again_at > now:
            pause = min(poll_interval, self._listen_again_at - now)
        else:
            longest = doubled(FIRST_RECONNECT, rounds_without_news, poll_interval)
            pause = random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret
        return max(pause, self._ask_again_at - now)

    async def _listen(self) -> None:
        """Read the stream until the task is terminal, or the stream fails or turns out to be of no use."""
        try:
            async with (
                self._client.task_events(self.state.task_id) as response,
                aclosing(read_events(response)) as events,
            ):
                self._hear(response)
                with anyio.CancelScope() as listening:
                    # Not in a task group, which would take 2 KiB of each wait.
                    watch = asyncio.create_task(self._look_into_silence(response, listening))
                    try:
                        await self._read(response, events)
                    finally:
                        watch.cancel()
        except (ApiError, UnexpectedAnswer, Unreachable) as failure:
            self._judge(failure)

    async def _read(self, response: "httpx2.Response", events: AsyncGenerator[tuple[str, JsonObject], None]) -> None:
        read_on = anyio.current_time()
        async for name, data in events:
            if self.state.terminal:
                return  # the task was asked for meanwhile
            if not self.state.is_of(data):
                logger.debug("task %s: passed over an event of another task", self.state.task_id)
                continue
            self.source.events += 1
            state = self.state.after(name, data)
            if name in TELLING:
                self._hear(response)
                self._learn(state, via="events")
            if state.terminal:
                return
            # Read the backlog first. Events that arrived together wait for one pause, not for one pause each.
            rest = self._client.pace.rest
            if rest and anyio.current_time() - read_on > AT_ONCE:
                self._heard_at += rest  # while we sleep, the stream is not what is silent
                await anyio.sleep(rest)
                read_on = anyio.current_time()

    async def _look_into_silence(self, response: "httpx2.Response", listening: anyio.CancelScope) -> None:
        """Poll the task after each `events_idle` seconds without an event; close a stream that is dead or behind."""
        while True:
            due = max(self._heard_at + self._client.settings.events_idle, self._ask_again_at)
            if anyio.current_time() < due:
                await anyio.sleep_until(due)
                continue  # an event may have come meanwhile
            if response.num_bytes_downloaded == self._heard_bytes:
                return listening.cancel()  # not even a heartbeat: the connection may be dead
            news = await self._ask(self._client)
            if news or self._refusals.believed is not None:
                self._asked_meanwhile = True
                return listening.cancel()  # the task is over, or has moved on and the stream has missed it
            self._hear(response)

    def _hear(self, response: "httpx2.Response") -> None:
        self._heard_at = anyio.current_time()
        self._heard_bytes = response.num_bytes_downloaded

    def _judge(self, failure: ApiError | UnexpectedAnswer | Unreachable) -> None:
        """Decide what a failed stream means: listen again, perhaps later, or do without."""
        self._note("the event stream failed", failure)
        missing = isinstance(failure, ApiError) and failure.status == 404
        if missing and self.state.task_status is None and self._refusals.newborn():
            return
        if not may_pass(failure):
            self._listen_again_at = inf
        elif asked := getattr(failure, "retry_after", None):
            self._listen_again_at = self._after(asked)

    async def _ask(self, client: "CyberunClient") -> bool:
        """Ask for the task once; tells whether that brought news. A refusal that ends the wait is in `_refusals`."""
        self.source.polls += 1
        asked_at = anyio.current_time()
        try:
            task = self._ours(await client.ask_once_for_task(self.state.task_id))
        except CyberunError as error:
            self._note("asking for its state failed", error)
            self._ask_again_at = self._after(getattr(error, "retry_after", None) or 0.0)
            self._refusals.weigh(error, seen=self.state.task_status is not None)
            return False
        self._refusals.found()
        told = self.state.as_told_by(task)
        if self._heard_at > asked_at and not told.terminal:
            return False  # an event has overtaken this answer
        return self._learn(told, via="polling")

    def _ours(self, answer: JsonObject) -> JsonObject:
        if not self.state.is_of(answer):
            raise UnexpectedAnswer(200, "the answer is about another task")
        return answer

    def _note(self, what: str, trouble: CyberunError) -> None:
        logger.warning("task %s: %s: %s", self.state.task_id, what, trouble)
        self._trouble = trouble

    def _after(self, seconds: float) -> float:
        """So many seconds from now, but never longer than a wait can do without asking."""
        return anyio.current_time() + min(seconds, LONGEST_PAUSE * self._client.settings.poll_interval)

    async def _confirm(self) -> None:
        """Read over REST what the terminal state did not carry, so that the answer is authoritative."""
        client = self._client.until(min(self._client.deadline + LAST_LOOK, anyio.current_time() + CONFIRMATION))
        try:
            if self.state.task_status == "failed" and self.state.error is None and self.source.via == "events":
                self.state = self.state.as_told_by(self._ours(await client.get_task(self.state.task_id)))
            if self.state.task_status == "completed" and self.state.output is None:
                output = self._ours(await client.get_task_result(self.state.task_id)).get("task_output")
                self.state = replace(self.state, output=output if isinstance(output, dict) else None)
        except CyberunError as error:
            # The task did end, and that is worth more than the rest: get_task_result can still fetch it.
            logger.warning("task %s ended, but its outcome could not be read: %s", self.state.task_id, error)

    def _learn(self, state: TaskState, via: str) -> bool:
        """Take over what is known now; tells whether it is new."""
        self.source.via = via
        if state == self.state:
            return False
        self.state = state
        self._on_change(state)
        return True
