"""Following a task to its end, whatever happens to the event stream on the way.

    listen ──► events … ──► terminal ─────────────► confirm what the stream did not carry ──► done
       ▲          │ dropped, ended, silent
       │          ▼
       └─ pause ◄─ ask GET /r/tasks/{id} ──► terminal ─► (same)

Where the stream cannot be had at all (a proxy's 404, 405 or HTML page, an oversized event) the loop goes on by asking.
"""

import logging
import random
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from cyberun_mcp.api.backoff import doubled
from cyberun_mcp.api.events import TaskState, read_events
from cyberun_mcp.api.pace import AT_ONCE
from cyberun_mcp.errors import ApiError, CyberunError, UnexpectedAnswer, Unreachable

if TYPE_CHECKING:
    from cyberun_mcp.api.client import CyberunClient

logger = logging.getLogger(__name__)

FIRST_RECONNECT = 0.1  # seconds; doubled while nothing new is learned, up to `poll_interval`
CONFIRMATION = 10.0  # seconds; the task has ended, and its end must not wait for a lame result endpoint
_TASK_IS_NOT_OURS = frozenset({400, 401, 403, 404})


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
        self._stream_blocked = False
        self._trouble: CyberunError | None = None
        self._asked_to_pause = 0.0

    async def until_terminal(self) -> bool:
        """Wait until the task is terminal or the client's deadline is reached; tells which: True when terminal.

        Raises ApiError when the platform does not let this caller see the task, and the last trouble (Unreachable,
        UnexpectedAnswer, ApiError) when nothing at all could be learned before the deadline.
        """
        try:
            return await self._until_terminal()
        finally:
            # The error's traceback leads back to this wait. Kept, the two would stay in memory until a garbage
            # collection, and with them the whole request.
            self._trouble = None

    async def _until_terminal(self) -> bool:
        with anyio.CancelScope(deadline=self._client.deadline):
            await self._follow()
            await self._confirm()
        if self.state.task_status is None:
            raise self._nothing_learned()
        return self.state.terminal

    def _nothing_learned(self) -> CyberunError:
        error = self._trouble or Unreachable("nothing was heard of the task in the time allowed", sent=True)
        error.details = f"Task {self.state.task_id} is untouched by this and may well be running: wait for it again."
        return error

    async def _follow(self) -> None:
        rounds_without_news = 0
        while True:
            before = self.state
            self._asked_to_pause = 0.0
            if not self._stream_blocked:
                await self._listen()
            if not self.state.terminal:
                await self._ask()
            if self.state.terminal:
                return
            rounds_without_news = 0 if self.state != before else rounds_without_news + 1
            await anyio.sleep(self._pause(rounds_without_news))
            if not self._stream_blocked:
                self.source.reconnects += 1

    def _pause(self, rounds_without_news: int) -> float:
        poll_interval = self._client.settings.poll_interval
        if self._stream_blocked:
            return max(poll_interval, self._asked_to_pause)
        longest = doubled(FIRST_RECONNECT, rounds_without_news, poll_interval)
        return max(random.uniform(longest / 2, longest), self._asked_to_pause)  # noqa: S311 - jitter, not a secret

    async def _listen(self) -> None:
        """Read the stream until the task is terminal or the stream fails."""
        try:
            async with (
                self._client.task_events(self.state.task_id) as response,
                aclosing(read_events(response)) as events,
            ):
                read_on = anyio.current_time()
                async for name, data in events:
                    self.source.events += 1
                    self._learn(self.state.after(name, data), via="events")
                    if self.state.terminal:
                        return
                    # What had piled up is heard first. Events that came with this one wait for one rest, not one each.
                    if self._client.pace.rest and anyio.current_time() - read_on > AT_ONCE:
                        await anyio.sleep(self._client.pace.rest)
                        read_on = anyio.current_time()
        except (ApiError, UnexpectedAnswer, Unreachable) as failure:
            self._judge(failure)

    def _judge(self, failure: ApiError | UnexpectedAnswer | Unreachable) -> None:
        """Decide what a failed stream means: listen again, or do without."""
        self._note("the event stream failed", failure)
        passing = isinstance(failure, Unreachable) or failure.status >= 500 or failure.status == 429
        self._stream_blocked = self._stream_blocked or not passing

    async def _ask(self) -> None:
        """Ask for the task once. Only an answer that settles the matter raises: the task is not this caller's."""
        self.source.polls += 1
        try:
            task = await self._client.ask_once_for_task(self.state.task_id)
        except CyberunError as error:
            if isinstance(error, ApiError) and error.status in _TASK_IS_NOT_OURS:
                raise
            self._note("asking for its state failed", error)
        else:
            self._learn(self.state.as_told_by(task), via="polling")

    def _note(self, what: str, trouble: CyberunError) -> None:
        logger.warning("task %s: %s: %s", self.state.task_id, what, trouble)
        self._trouble = trouble
        asked = getattr(trouble, "retry_after", None)
        self._asked_to_pause = max(self._asked_to_pause, asked or 0.0)

    async def _confirm(self) -> None:
        """Read over REST what the terminal state did not carry, so that the answer is authoritative."""
        client = self._client.waiting_until(min(self._client.deadline, anyio.current_time() + CONFIRMATION))
        try:
            if self.state.task_status == "failed" and self.state.error is None and self.source.via == "events":
                self.state = self.state.as_told_by(await client.get_task(self.state.task_id))
            if self.state.task_status == "completed" and self.state.output is None:
                output = (await client.get_task_result(self.state.task_id)).get("task_output")
                self.state = replace(self.state, output=output if isinstance(output, dict) else None)
        except CyberunError as error:
            # The task did end, and that is worth more than the rest: get_task_result can still fetch it.
            logger.warning("task %s ended, but its outcome could not be read: %s", self.state.task_id, error)

    def _learn(self, state: TaskState, via: str) -> None:
        self.source.via = via
        if state != self.state:
            self.state = state
            self._on_change(state)
