"""Live task events: one publisher per task, any number of listeners, none of which can hold the task up."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cyberun_mcp.emulator.formats import current_timestamp
from cyberun_mcp.emulator.task_table import TaskRow
from cyberun_mcp.emulator.workflows.job import Progress


@dataclass(frozen=True)
class TaskEvent:
    """One server-sent event: its name and its data."""

    name: str
    data: dict[str, Any]

    @property
    def is_last(self) -> bool:
        """Whether the stream closes after it."""
        return self.name in ("completed", "failed", "cancelled")


def status_event(task_id: str, status: str) -> TaskEvent:
    """A task has come to a status that is not its last."""
    return TaskEvent("status", {"task_id": task_id, "status": status, "timestamp": current_timestamp()})


def progress_event(task_id: str, progress: Progress) -> TaskEvent:
    """A step of a running task is done."""
    data: dict[str, Any] = {"task_id": task_id, "progress": round(progress.current / progress.total, 4)}
    if progress.node is not None:
        data["current_node"] = progress.node
    data |= {"step_current": progress.current, "step_total": progress.total}
    if progress.stage is not None:
        data |= {"stage": progress.stage, "message": progress.message or ""}
    return TaskEvent("progress", {**data, "timestamp": current_timestamp()})


def state_event(task: TaskRow) -> TaskEvent:
    """Where a task stands: its last event if it is over, otherwise its status."""
    data: dict[str, Any] = {"task_id": task.id, "status": task.task_status}
    match task.task_status:
        case "completed":
            return TaskEvent("completed", {**data, "output": task.task_output})
        case "failed":
            return TaskEvent("failed", {**data, "error": task.task_error, "timestamp": task.completed_at})
        case "cancelled":
            return TaskEvent("cancelled", data)
        case _:
            return status_event(task.id, task.task_status)


class Listener:
    """What one stream has yet to send. Progress that was not sent in time is replaced by newer progress."""

    def __init__(self) -> None:
        self._waiting: deque[TaskEvent] = deque()
        self._closed = False
        self._changed = asyncio.Event()

    def offer(self, event: TaskEvent) -> None:
        """Take an event to send."""
        if self._waiting and self._waiting[-1].name == "progress" == event.name:
            self._waiting.pop()
        self._waiting.append(event)
        self._changed.set()

    def close(self) -> None:
        """End the stream after what is waiting."""
        self._closed = True
        self._changed.set()

    async def events(self) -> AsyncIterator[TaskEvent]:
        """Everything offered, until a last event or the end of the emulator."""
        while True:
            while self._waiting:
                event = self._waiting.popleft()
                yield event
                if event.is_last:
                    return
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()


class Watch:
    """Passes events on to whoever listens, and keeps each running task's newest progress for those who come later."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}
        self._progress: dict[str, TaskEvent] = {}
        self._closed = False

    def publish(self, task_id: str, event: TaskEvent) -> None:
        """Tell all listeners of a task."""
        if event.name == "progress":
            self._progress[task_id] = event
        elif event.is_last:
            self._progress.pop(task_id, None)
        for listener in self._listeners.get(task_id, ()):
            listener.offer(event)

    def newest_progress(self, task_id: str) -> TaskEvent | None:
        """How far a running task has come, if it has said so."""
        return self._progress.get(task_id)

    @contextmanager
    def listening(self, task_id: str) -> Iterator[Listener]:
        """Listen to one task for as long as the block lasts."""
        listener = Listener()
        if self._closed:
            listener.close()
        self._listeners.setdefault(task_id, set()).add(listener)
        try:
            yield listener
        finally:
            self._listeners[task_id].discard(listener)
            if not self._listeners[task_id]:
                del self._listeners[task_id]

    def close(self) -> None:
        """End every stream: the emulator stops."""
        self._closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.close()
