"""Progress notifications: from a task's newest state to `notifications/progress`.

Many clients fail on careless progress. So values strictly increase, at most ten messages are sent per second, only the
newest state is kept, a heartbeat follows ten seconds of silence, and nothing is sent after the tool's result. The
reader of events never waits for the client: it only replaces the newest state.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio

from cyberun_mcp.api.events import TaskState
from cyberun_mcp.errors import shortened
from cyberun_mcp.redaction import redact
from cyberun_mcp.tools.registry import ReportProgress

# Seconds between two messages, and between the last one and the result. A client that reads both at once handles the
# progress after it has forgotten its token, and then drops the connection (claude-code issues 47765 and 53617).
SHORTEST_GAP = 0.1
HEARTBEAT = 10.0  # seconds; several clients restart their idle timer at each message
FINAL_TIMEOUT = 1.0  # seconds that a client which has stopped reading can delay the result
LONGEST_TEXT = 200  # characters of a message from the task itself; documented ones are below 50

_TOTAL = 1.0
_INCREMENT = 1e-9  # makes a repeated value larger but not visibly; 3,600 s of ten a second stay below 1e-4
_ALMOST_DONE = 0.999  # the largest value before the end, so that there is always room for more increments


@asynccontextmanager
async def relay_progress(report: ReportProgress, first: TaskState) -> AsyncIterator[Callable[[TaskState], None]]:
    """A function that takes the newest state. The last state is sent before the block is left."""
    sender = _ProgressSender(report, first)
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender.run)
        try:
            yield sender.update
        except Exception as error:  # the task group would wrap it in a group; it is raised as it is below
            failure = error
            tasks.cancel_scope.cancel()
        sender.finish()
        tasks.cancel_scope.deadline = anyio.current_time() + FINAL_TIMEOUT
    if failure is not None:
        raise failure


class _ProgressSender:
    def __init__(self, report: ReportProgress, first: TaskState) -> None:
        self._report = report
        self._newest = first
        self._sent: TaskState | None = None
        self._value = 0.0
        self._finished = False
        self._changed = anyio.Event()
        self._began = anyio.current_time()

    def update(self, state: TaskState) -> None:
        self._newest = state
        self._changed.set()

    def finish(self) -> None:
        self._finished = True
        self._changed.set()

    async def run(self) -> None:
        # When canceled it just returns. anyio 4.16 keeps the error of a canceled child task in a reference cycle, and
        # its traceback holds the whole request: 95 objects of each canceled wait, until a garbage collection.
        with suppress(anyio.get_cancelled_exc_class()):
            await self._send_until_finished()

    async def _send_until_finished(self) -> None:
        while True:
            self._changed = anyio.Event()
            await self._send()
            sent_at = anyio.current_time()
            if not self._finished:
                with anyio.move_on_after(HEARTBEAT):
                    await self._changed.wait()
            await anyio.sleep_until(sent_at + SHORTEST_GAP)
            if self._finished and self._sent is self._newest:
                return

    async def _send(self) -> None:
        state = self._newest
        if state.terminal and self._sent is state:
            return
        message = describe_state(state)
        if self._sent is None:
            message = f"task {state.task_id}: {message}"
        elif self._sent is state:
            message += f" ({anyio.current_time() - self._began:.0f} s so far)"
        self._value = self._next_value(state)
        self._sent = state
        await self._report(self._value, _TOTAL, message)

    def _next_value(self, state: TaskState) -> float:
        if state.task_status == "completed":
            return _TOTAL
        if self._sent is None:
            return 0.0
        return max(min(state.progress or 0.0, _ALMOST_DONE), self._value + _INCREMENT)


def describe_state(state: TaskState) -> str:
    """A state in words: "running, step 7 of 20, node 3"."""
    match state.task_status:
        case None:
            return "asking for its state"
        case "pending":
            return "pending, not yet scheduled"
        case "waiting":
            return "waiting for an eligible agent"
        case "running":
            return ", ".join(["running", *_describe_step(state)])
        case other:
            return _short(other)


def _describe_step(state: TaskState) -> list[str]:
    words = []
    if state.stage:
        words.append(_short(f"{state.stage}: {state.message}" if state.message else state.stage))
    elif state.message:
        words.append(_short(state.message))
    if state.step_current is not None:
        words.append(f"step {state.step_current}" + (f" of {state.step_total}" if state.step_total else ""))
    elif state.progress is not None:
        words.append(f"{state.progress:.0%}")
    if state.current_node:
        words.append(f"node {_short(state.current_node)}")
    return words


def _short(text: str) -> str:
    return shortened(redact(text), LONGEST_TEXT)  # in this order: a cut could remove the mark of a signed URL
