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

from cyberun_mcp.api.events import TaskState, read_events
from cyberun_mcp.errors import ApiError, CyberunError, UnexpectedAnswer, Unreachable

if TYPE_CHECKING:
    from cyberun_mcp.api.client import CyberunClient

logger = logging.getLogger(__name__)

FIRST_RECONNECT = 0.1  # seconds; doubled while nothing is heard, up to `poll_interval`
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

    async def until_terminal(self) -> bool:
        """Wait until the task is terminal or the client's deadline is reached; tells which: True when terminal.

        Raises ApiError when the platform does not let this caller see the task, and the last trouble (Unreachable,
        UnexpectedAnswer, ApiError) when nothing at all could be learned before the deadline.
        """
        with anyio.CancelScope(deadline=self._client.deadline):
            await self._follow()
            await self._confirm()
        if self.state.task_status is None:
            raise self._trouble or Unreachable("nothing was heard of the task in the time allowed", sent=False)
        return self.state.terminal

    async def _follow(self) -> None:
        quiet_rounds = 0
        while True:
            heard = 0 if self._stream_blocked else await self._listen()
            if not self.state.terminal:
                await self._ask()
            if self.state.terminal:
                return
            quiet_rounds = 0 if heard else quiet_rounds + 1
            await anyio.sleep(self._pause(quiet_rounds))
            if not self._stream_blocked:
                self.source.reconnects += 1

    def _pause(self, quiet_rounds: int) -> float:
        poll_interval = self._client.settings.poll_interval
        if self._stream_blocked:
            return poll_interval
        longest = min(poll_interval, FIRST_RECONNECT * 2**quiet_rounds)
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret

    async def _listen(self) -> int:
        """Read the stream until the task is terminal or the stream fails; the number of events heard."""
        heard_before = self.source.events
        try:
            async with (
                self._client.task_events(self.state.task_id) as response,
                aclosing(read_events(response)) as events,
            ):
                async for name, data in events:
                    self.source.events += 1
                    self._learn(self.state.after(name, data), via="events")
                    if self.state.terminal:
                        break
        except (ApiError, UnexpectedAnswer, Unreachable) as failure:
            self._judge(failure)
        return self.source.events - heard_before

    def _judge(self, failure: ApiError | UnexpectedAnswer | Unreachable) -> None:
        """Decide what a failed stream means: listen again, or do without."""
        logger.warning("task %s: the event stream failed: %s", self.state.task_id, failure)
        self._trouble = failure
        passing = isinstance(failure, Unreachable) or failure.status >= 500 or failure.status == 429
        self._stream_blocked = self._stream_blocked or not passing

    async def _ask(self) -> None:
        self.source.polls += 1
        try:
            task = await self._client.get_task(self.state.task_id)
        except CyberunError as error:
            if isinstance(error, ApiError) and error.status in _TASK_IS_NOT_OURS:
                raise
            self._trouble = error
        else:
            self._learn(self.state.as_told_by(task), via="polling")

    async def _confirm(self) -> None:
        """Read over REST what the terminal state did not carry, so that the answer is authoritative."""
        try:
            if self.state.task_status == "failed" and self.state.error is None:
                self.state = self.state.as_told_by(await self._client.get_task(self.state.task_id))
            if self.state.task_status == "completed" and self.state.output is None:
                output = (await self._client.get_task_result(self.state.task_id)).get("task_output")
                self.state = replace(self.state, output=output if isinstance(output, dict) else None)
        except CyberunError as error:
            # The task did end, and that is worth more than the rest: get_task_result can still fetch it.
            logger.warning("task %s ended, but its outcome could not be read: %s", self.state.task_id, error)

    def _learn(self, state: TaskState, via: str) -> None:
        self.source.via = via
        if state != self.state:
            self.state = state
            self._on_change(state)
