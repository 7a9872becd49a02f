"""Task events: from the bytes of a server-sent event stream to the newest known state of a task.

The platform documents no event ids, no heartbeats and no replay, so nothing here depends on them. Whatever a single
event gets wrong costs that event only.
"""

import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from cyberun_mcp.api.answers import JsonObject, parse_json
from cyberun_mcp.api.models import TERMINAL_STATES, canonical
from cyberun_mcp.errors import UnexpectedAnswer

logger = logging.getLogger(__name__)

LARGEST_EVENT = 2**20  # bytes; documented events are below 1 kB, and what exceeds this is read by polling instead

# The events that tell of a task's progress. Any other, a heartbeat for one, is as good as silence.
TELLING = TERMINAL_STATES | {"status", "progress"}

LARGEST_NUMBER = 2**53  # of steps, or as progress; JSON can spell integers that no float holds


@dataclass(frozen=True, slots=True)
class TaskState:
    """What is known of a task. `progress` runs from 0 to 1; a field nobody has reported is None."""

    task_id: str
    task_status: str | None = None
    progress: float | None = None
    step_current: int | None = None
    step_total: int | None = None
    current_node: str | None = None
    stage: str | None = None
    message: str | None = None
    output: JsonObject | None = None
    error: str | None = None

    @property
    def terminal(self) -> bool:
        """Whether the task will not move any more."""
        return self.task_status in TERMINAL_STATES

    def is_of(self, data: Mapping[str, Any]) -> bool:
        """Whether an event or an answer is about this task: it names it, or names none."""
        named = _text(data.get("task_id")) or _text(data.get("id"))
        return named is None or canonical(named) == canonical(self.task_id)

    def after(self, name: str, data: Mapping[str, Any]) -> "TaskState":
        """The state after one event. Unknown events, and fields of another type than documented, are passed over."""
        if name == "error":
            logger.warning("task %s: the platform reports trouble: %s", self.task_id, _error_text(data))
        elif name == "progress":
            return self._progressed(data)
        elif name == "status" or name in TERMINAL_STATES:
            return self._became(name if name in TERMINAL_STATES else _text(data.get("status")), data)
        return self

    def _became(self, status: str | None, data: Mapping[str, Any]) -> "TaskState":
        if status not in TERMINAL_STATES:
            return replace(self, task_status=status or self.task_status)
        output = data.get("output")
        return replace(
            self,
            task_status=status,
            output=output if isinstance(output, dict) else self.output,
            error=_error_text(data),
        )

    def _progressed(self, data: Mapping[str, Any]) -> "TaskState":
        return replace(
            self,
            task_status=self.task_status or "running",
            progress=_progress(data),
            step_current=_whole(data.get("step_current")),
            step_total=_whole(data.get("step_total")),
            current_node=_text(data.get("current_node")),
            stage=_text(data.get("stage")),
            message=_text(data.get("message")),
        )

    def as_told_by(self, task: Mapping[str, Any]) -> "TaskState":
        """The state after reading the task itself over REST."""
        return replace(
            self,
            task_status=_text(task.get("task_status")) or self.task_status,
            error=_text(task.get("task_error")) or self.error,
        )


async def read_events(response: httpx2.Response) -> AsyncGenerator[tuple[str, JsonObject], None]:
    """Name and data of each event, malformed ones left out.

    Raises UnexpectedAnswer when this is no event stream, when it is compressed, or an event exceeds LARGEST_EVENT.
    """
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        # It was not asked for, and unpacking it would hold up every other call. Polling does not need it.
        raise UnexpectedAnswer(response.status_code, "the event stream is compressed, although that was not asked for")
    response.encoding = "utf-8-sig"  # always UTF-8, and a leading BOM is to be ignored (HTML standard §9.2.5)
    try:
        async for event in httpx2.EventSource(response, max_event_size=LARGEST_EVENT):
            data = parse_json(event.data)
            if isinstance(data, dict):
                yield event.event, data
            else:
                logger.warning("skipped a malformed %r event of %d characters", event.event, len(event.data))
    except httpx2.SSEError as error:
        raise UnexpectedAnswer(response.status_code, str(error)) from error


def _progress(data: Mapping[str, Any]) -> float | None:
    value = data.get("progress")
    if not isinstance(value, int | float) or isinstance(value, bool) or not _finite(value):
        current, total = _whole(data.get("step_current")), _whole(data.get("step_total"))
        if current is None or not total:
            return None
        value = current / total
    return min(1.0, max(0.0, value))


def _finite(value: float) -> bool:
    return abs(value) <= LARGEST_NUMBER  # False for NaN, and safe where a long integer overflows a float


def _error_text(data: Mapping[str, Any]) -> str | None:
    return _text(data.get("error")) or _text(data.get("task_error")) or _text(data.get("error_message"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and _finite(value) else None
