"""Task events: from the bytes of a server-sent event stream to the newest known state of a task.

The platform documents no event ids, no heartbeats and no replay, so nothing here depends on them. A malformed event is
skipped, and the rest of the stream is still read.
"""

import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from cyberun_mcp.api.models import TERMINAL_STATES, canonical_id
from cyberun_mcp.api.responses import JsonObject, parse_json
from cyberun_mcp.errors import UnexpectedResponse

logger = logging.getLogger(__name__)

LARGEST_EVENT = 2**20  # bytes; documented events are below 1 kB. After a larger one the task is polled instead

# The events that report a task's state. Any other event, such as a heartbeat, counts as silence.
STATE_EVENTS = TERMINAL_STATES | {"status", "progress"}

LARGEST_NUMBER = 2**53  # of steps, or as progress; JSON allows integers that no float can hold


@dataclass(frozen=True, slots=True)
class TaskState:
    """The known state of a task. `progress` runs from 0 to 1; a field that was never reported is None."""

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
        """Whether the task has ended: completed, failed or cancelled."""
        return self.task_status in TERMINAL_STATES

    def is_about(self, data: Mapping[str, Any]) -> bool:
        """Whether an event or a response is about this task: it names this task, or none."""
        named = _text(data.get("task_id")) or _text(data.get("id"))
        return named is None or canonical_id(named) == canonical_id(self.task_id)

    def after(self, name: str, data: Mapping[str, Any]) -> "TaskState":
        """The state after one event. Unknown events, and fields of an undocumented type, are ignored."""
        if name == "error":
            logger.warning("task %s: the platform reports trouble: %s", self.task_id, _error_text(data))
        elif name == "progress":
            return self._with_progress(data)
        elif name == "status" or name in TERMINAL_STATES:
            return self._with_status(name if name in TERMINAL_STATES else _text(data.get("status")), data)
        return self

    def _with_status(self, status: str | None, data: Mapping[str, Any]) -> "TaskState":
        if status not in TERMINAL_STATES:
            return replace(self, task_status=status or self.task_status)
        output = data.get("output")
        return replace(
            self,
            task_status=status,
            output=output if isinstance(output, dict) else self.output,
            error=_error_text(data),
        )

    def _with_progress(self, data: Mapping[str, Any]) -> "TaskState":
        return replace(
            self,
            task_status=self.task_status or "running",
            progress=_progress(data),
            step_current=_integer(data.get("step_current")),
            step_total=_integer(data.get("step_total")),
            current_node=_text(data.get("current_node")),
            stage=_text(data.get("stage")),
            message=_text(data.get("message")),
        )

    def after_poll(self, task: Mapping[str, Any]) -> "TaskState":
        """The state after `GET /r/tasks/{id}` returned `task`."""
        return replace(
            self,
            task_status=_text(task.get("task_status")) or self.task_status,
            error=_text(task.get("task_error")) or self.error,
        )


async def read_events(response: httpx2.Response) -> AsyncGenerator[tuple[str, JsonObject], None]:
    """The name and data of each event, without malformed ones.

    Raises UnexpectedResponse for a body that is not an event stream or is compressed, and for an event that exceeds
    LARGEST_EVENT.
    """
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        # We sent `Accept-Encoding: identity`, and unpacking would hold up every other call. The task is polled instead.
        raise UnexpectedResponse(
            response.status_code, "the event stream is compressed, although that was not asked for"
        )
    response.encoding = "utf-8-sig"  # always UTF-8, with an optional BOM (HTML standard §9.2.5)
    try:
        async for event in httpx2.EventSource(response, max_event_size=LARGEST_EVENT):
            data = parse_json(event.data)
            if isinstance(data, dict):
                yield event.event, data
            else:
                logger.warning("skipped a malformed %r event of %d characters", event.event, len(event.data))
    except httpx2.SSEError as error:
        raise UnexpectedResponse(response.status_code, str(error)) from error


def _progress(data: Mapping[str, Any]) -> float | None:
    value = data.get("progress")
    if not isinstance(value, int | float) or isinstance(value, bool) or not _finite(value):
        current, total = _integer(data.get("step_current")), _integer(data.get("step_total"))
        if current is None or not total:
            return None
        value = current / total
    return min(1.0, max(0.0, value))


def _finite(value: float) -> bool:
    return abs(value) <= LARGEST_NUMBER  # False for NaN, and no overflow for long integers


def _error_text(data: Mapping[str, Any]) -> str | None:
    return _text(data.get("error")) or _text(data.get("task_error")) or _text(data.get("error_message"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and _finite(value) else None
