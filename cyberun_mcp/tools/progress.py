"""The relay: from a task's newest state to `notifications/progress`.

Many clients fail on careless progress, so: values strictly increase, at most ten messages a second, only the newest
state is ever waiting, silence is broken every ten seconds, and nothing is sent once the tool has answered. The reader
of events never waits for the client: it only leaves the newest state here.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio

from cyberun_mcp.api.events import TaskState
from cyberun_mcp.redaction import redact
from cyberun_mcp.tools.registry import Report

# Seconds between two messages, and between the last one and the answer: a client that reads both in one go answers the
# progress after it has forgotten its token, and then drops the connection (claude-code issues 47765 and 53617).
SHORTEST_GAP = 0.1
HEARTBEAT = 10.0  # seconds; several clients restart their idle clock at each message
LAST_WORD = 1.0  # seconds a client that has stopped reading may hold up the answer
LONGEST_WORDS = 200  # characters of a message the task itself sends; the documented ones are below 50

_TOTAL = 1.0
_NUDGE = 1e-9  # makes a repeated value larger without showing; 3,600 s of ten a second stay below 1e-4
_ALMOST = 0.999  # the largest value before the end, so that there is always room for another nudge


@asynccontextmanager
async def relay(report: Report, first: TaskState) -> AsyncIterator[Callable[[TaskState], None]]:
    """A function that takes the newest state. Its last word is delivered before the block is left."""
    messenger = _Messenger(report, first)
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(messenger.run)
        try:
            yield messenger.tell
        except Exception as error:  # a task group would wrap it; it goes on bare, below
            failure = error
            tasks.cancel_scope.cancel()
        messenger.finish()
        tasks.cancel_scope.deadline = anyio.current_time() + LAST_WORD
    if failure is not None:
        raise failure


class _Messenger:
    def __init__(self, report: Report, first: TaskState) -> None:
        self._report = report
        self._newest = first
        self._sent: TaskState | None = None
        self._value = 0.0
        self._finished = False
        self._news = anyio.Event()
        self._began = anyio.current_time()

    def tell(self, state: TaskState) -> None:
        self._newest = state
        self._news.set()

    def finish(self) -> None:
        self._finished = True
        self._news.set()

    async def run(self) -> None:
        # When canceled it just ends. anyio 4.16 keeps the error of a canceled child task in a reference cycle, and its
        # traceback holds the whole request: 95 objects of each wait that was canceled, until a garbage collection.
        with suppress(anyio.get_cancelled_exc_class()):
            await self._relay()

    async def _relay(self) -> None:
        while True:
            self._news = anyio.Event()
            await self._send()
            sent_at = anyio.current_time()
            if not self._finished:
                with anyio.move_on_after(HEARTBEAT):
                    await self._news.wait()
            await anyio.sleep_until(sent_at + SHORTEST_GAP)
            if self._finished and self._sent is self._newest:
                return

    async def _send(self) -> None:
        state = self._newest
        if state.terminal and self._sent is state:
            return
        message = describe(state)
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
        return max(min(state.progress or 0.0, _ALMOST), self._value + _NUDGE)


def describe(state: TaskState) -> str:
    """A state in words: "running, step 7 of 20, node 3"."""
    match state.task_status:
        case None:
            return "asking for its state"
        case "pending":
            return "pending, not yet scheduled"
        case "waiting":
            return "waiting for an eligible agent"
        case "running":
            return ", ".join(["running", *_doing(state)])
        case other:
            return _short(other)


def _doing(state: TaskState) -> list[str]:
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
    text = redact(text)  # first: a cut could take away the mark that tells a signed URL from another
    return text if len(text) <= LONGEST_WORDS else text[:LONGEST_WORDS] + "…"
