"""Live task events: the scheduler publishes them, event streams subscribe to them, and neither waits for the other."""

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
    def is_terminal(self) -> bool:
        """Whether the stream closes after this event."""
        return self.name in ("completed", "failed", "cancelled")


def progress_event(task_id: str, progress: Progress) -> TaskEvent:
    """The event for a finished step of a running task."""
    data: dict[str, Any] = {"task_id": task_id, "progress": round(progress.current / progress.total, 4)}
    if progress.node is not None:
        data["current_node"] = progress.node
    data |= {"step_current": progress.current, "step_total": progress.total}
    if progress.stage is not None:
        data |= {"stage": progress.stage, "message": progress.message or ""}
    return TaskEvent("progress", {**data, "timestamp": current_timestamp()})


def status_event(task: TaskRow) -> TaskEvent:
    """The event for the current status of a task, which is the terminal event if the task has ended."""
    data: dict[str, Any] = {"task_id": task.id, "status": task.task_status}
    match task.task_status:
        case "completed":
            return TaskEvent("completed", {**data, "output": task.task_output})
        case "failed":
            return TaskEvent("failed", {**data, "error": task.task_error, "timestamp": task.completed_at})
        case "cancelled":
            return TaskEvent("cancelled", data)
        case _:
            return TaskEvent("status", {**data, "timestamp": current_timestamp()})


class EventSubscription:
    """The events that one stream has not sent yet. A newer progress event replaces one that is still unsent."""

    def __init__(self) -> None:
        self._unsent: deque[TaskEvent] = deque()
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, event: TaskEvent) -> None:
        """Add an event. Never blocks."""
        if self._unsent and self._unsent[-1].name == "progress" == event.name:
            self._unsent.pop()
        self._unsent.append(event)
        self._changed.set()

    def close(self) -> None:
        """End `events` after the unsent ones."""
        self._closed = True
        self._changed.set()

    async def events(self) -> AsyncIterator[TaskEvent]:
        """Wait for events and yield them, until a terminal one or until closed."""
        while True:
            while self._unsent:
                event = self._unsent.popleft()
                yield event
                if event.is_terminal:
                    return
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()


class EventBroker:
    """Passes each event to all subscriptions of its task, and keeps the latest progress for later subscribers."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[EventSubscription]] = {}
        self._progress: dict[str, TaskEvent] = {}
        self._closed = False

    def publish(self, task_id: str, event: TaskEvent) -> None:
        """Pass an event to the subscriptions of a task."""
        if event.name == "progress":
            self._progress[task_id] = event
        elif event.is_terminal:
            self._progress.pop(task_id, None)
        for subscription in self._subscriptions.get(task_id, ()):
            subscription.put(event)

    def latest_progress(self, task_id: str) -> TaskEvent | None:
        """The latest progress event of a running task, if it has reported any."""
        return self._progress.get(task_id)

    @contextmanager
    def subscribe(self, task_id: str) -> Iterator[EventSubscription]:
        """Receive the events of one task until the block ends."""
        subscription = EventSubscription()
        if self._closed:
            subscription.close()
        self._subscriptions.setdefault(task_id, set()).add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[task_id].discard(subscription)
            if not self._subscriptions[task_id]:
                del self._subscriptions[task_id]

    def close(self) -> None:
        """End all subscriptions, because the emulator is stopping."""
        self._closed = True
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.close()
