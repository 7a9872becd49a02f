"""The scheduler: takes each accepted task through the documented statuses.

pending → queued → running → completed or failed
pending → waiting, if no agent of the team has the required labels
pending, waiting, queued or running → cancelled
"""

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from cyberun_mcp.emulator.agents import GATEWAY_ID, GPU_TYPE, EmulatedAgent, TaskOutcome, run_task
from cyberun_mcp.emulator.object_storage import ObjectStorage
from cyberun_mcp.emulator.task_events import EventBroker, progress_event, status_event
from cyberun_mcp.emulator.task_table import TaskRow, TaskTable
from cyberun_mcp.emulator.workflows.definition import WorkflowVersion
from cyberun_mcp.emulator.workflows.job import Progress

SCHEDULING_SECONDS = 0.05
ACKNOWLEDGMENT_SECONDS = 0.05
"""Delays that imitate the platform's network, so that `pending` and `queued` can be observed."""

StopReason = Literal["cancelled", "timeout", "shutdown"]


@dataclass(eq=False)
class _ScheduledTask:
    """A task that has not ended, and how to stop it."""

    row: TaskRow
    workflow_version: WorkflowVersion
    stop: threading.Event = field(default_factory=threading.Event)
    stop_reason: StopReason | None = None

    @property
    def id(self) -> str:
        return self.row.id

    def request_stop(self, reason: StopReason) -> None:
        """Stop the task at its next checkpoint. Only the first reason counts."""
        self.stop_reason = self.stop_reason or reason
        self.stop.set()


class Scheduler:
    """Assigns tasks to idle agents, oldest first, and records how they end."""

    def __init__(
        self,
        table: TaskTable,
        storage: ObjectStorage,
        events: EventBroker,
        agents: Mapping[str, Sequence[EmulatedAgent]],
    ) -> None:
        """`agents` has the agents of each team by team id."""
        self._table = table
        self._storage = storage
        self._events = events
        self._agents = agents
        self._tasks: dict[str, _ScheduledTask] = {}
        self._queue: list[_ScheduledTask] = []
        self._coroutines: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(
            max_workers=sum(len(team) for team in agents.values()), thread_name_prefix="emulator-agent"
        )
        self._stopping = False

    def submit(self, row: TaskRow, workflow_version: WorkflowVersion) -> None:
        """Start scheduling an accepted task."""
        task = self._tasks[row.id] = _ScheduledTask(row, workflow_version)
        self._start_coroutine(self._enqueue(task))

    def cancel(self, task_id: str) -> None:
        """Cancel a task. Has no effect on one that has ended.

        A task that an agent runs becomes `cancelled` only when it stops at its next checkpoint. On the platform, too,
        the gateway can only send the agent a request to abort.
        """
        task = self._tasks.get(task_id)
        if task is None:
            return
        task.request_stop("cancelled")
        if not any(agent.current_task_id == task_id for agent in self._agents_for(task)):
            if task in self._queue:
                self._queue.remove(task)
            self._end(task, "cancelled")

    def stop(self) -> None:
        """Start to stop all tasks. Running ones stay `running` in the database until the next start fails them."""
        self._stopping = True
        for task in self._tasks.values():
            task.request_stop("shutdown")

    async def close(self) -> None:
        """Stop all tasks and wait until they have stopped."""
        self.stop()
        try:
            await asyncio.gather(*self._coroutines)
        finally:
            self._threads.shutdown()

    async def _enqueue(self, task: _ScheduledTask) -> None:
        await asyncio.sleep(SCHEDULING_SECONDS)
        if task.stop.is_set():
            return
        if any(agent.can_run(task.workflow_version.required_labels) for agent in self._agents_for(task)):
            self._set_status(task, "queued")
            self._queue.append(task)
            self._assign_queued_tasks()
        else:
            # No agents are ever added here, so the task waits until it is cancelled.
            self._set_status(task, "waiting")

    def _assign_queued_tasks(self) -> None:
        if self._stopping:
            return
        for task in tuple(self._queue):
            agent = self._idle_agent_for(task)
            if agent:
                self._queue.remove(task)
                agent.current_task_id = task.id
                self._start_coroutine(self._run_on(agent, task))

    async def _run_on(self, agent: EmulatedAgent, task: _ScheduledTask) -> None:
        try:
            await asyncio.sleep(ACKNOWLEDGMENT_SECONDS)
            if task.stop_reason == "cancelled":
                self._end(task, "cancelled")
            elif not task.stop.is_set():
                self._mark_running(task, agent)
                self._record(task, await self._run_in_thread(task))
        finally:
            agent.current_task_id = None
            self._assign_queued_tasks()

    async def _run_in_thread(self, task: _ScheduledTask) -> TaskOutcome:
        loop = asyncio.get_running_loop()

        def report(progress: Progress) -> None:
            loop.call_soon_threadsafe(self._events.publish, task.id, progress_event(task.id, progress))

        timeout = task.workflow_version.task_timeout
        timer = loop.call_later(timeout, task.request_stop, "timeout") if timeout else None
        try:
            return await loop.run_in_executor(
                self._threads, run_task, task.row, task.workflow_version, self._storage, task.stop, report
            )
        finally:
            if timer:
                timer.cancel()

    def _mark_running(self, task: _ScheduledTask, agent: EmulatedAgent) -> None:
        self._table.mark_running(
            task.id, agent_id=agent.agent_id, labels=agent.labels, gateway_id=GATEWAY_ID, gpu_type=GPU_TYPE
        )
        self._publish_status(task)

    def _record(self, task: _ScheduledTask, outcome: TaskOutcome) -> None:
        if outcome.status == "completed":
            self._table.mark_completed(task.id, task_output=outcome.task_output, outputs=outcome.output_keys)
            self._finish(task)
        elif outcome.status == "failed":
            self._end(task, "failed", outcome.error)
        elif task.stop_reason == "timeout":
            self._end(task, "failed", f"task timed out after {task.workflow_version.task_timeout} seconds")
        elif task.stop_reason == "cancelled":
            self._end(task, "cancelled")

    def _set_status(self, task: _ScheduledTask, status: str) -> None:
        self._table.set_status(task.id, status)
        self._publish_status(task)

    def _end(self, task: _ScheduledTask, status: str, error: str = "") -> None:
        self._table.mark_ended(task.id, status, error)
        self._finish(task)

    def _finish(self, task: _ScheduledTask) -> None:
        del self._tasks[task.id]
        self._publish_status(task)

    def _publish_status(self, task: _ScheduledTask) -> None:
        self._events.publish(task.id, status_event(self._table.get(task.id)))

    def _idle_agent_for(self, task: _ScheduledTask) -> EmulatedAgent | None:
        for agent in self._agents_for(task):
            if agent.status == "idle" and agent.can_run(task.workflow_version.required_labels):
                return agent
        return None

    def _agents_for(self, task: _ScheduledTask) -> Sequence[EmulatedAgent]:
        return self._agents[task.row.team_id]

    def _start_coroutine(self, coroutine: Coroutine[None, None, None]) -> None:
        running = asyncio.create_task(coroutine)
        self._coroutines.add(running)  # asyncio itself keeps only a weak reference
        running.add_done_callback(self._coroutines.discard)
