"""The scheduler: takes accepted tasks through the documented states."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from cyberun_mcp.emulator.agents import GATEWAY_ID, GPU_TYPE, EmulatedAgent, TaskOutcome, run_task
from cyberun_mcp.emulator.object_storage import ObjectStorage
from cyberun_mcp.emulator.task_events import EventBroker, progress_event, status_event
from cyberun_mcp.emulator.task_table import TaskRow, TaskTable
from cyberun_mcp.emulator.workflows.definition import Definition
from cyberun_mcp.emulator.workflows.job import Progress

PICK_UP_SECONDS = 0.05
ACKNOWLEDGE_SECONDS = 0.05
"""What dispatching over a network costs, so that `pending` and `queued` can be seen here as on the platform."""


@dataclass(eq=False)
class _Run:
    """A task on its way."""

    task: TaskRow
    definition: Definition
    stop: threading.Event = field(default_factory=threading.Event)
    reason: str = ""
    """Why `stop` is set: cancelled, timeout or shutdown."""

    def halt(self, reason: str) -> None:
        """Have it stop at its next checkpoint; the first reason counts."""
        self.reason = self.reason or reason
        self.stop.set()


class Scheduler:
    """Hands tasks to agents, oldest first, and records what becomes of them."""

    def __init__(
        self,
        tasks: TaskTable,
        storage: ObjectStorage,
        events: EventBroker,
        agents: Mapping[str, Sequence[EmulatedAgent]],
    ) -> None:
        self._tasks = tasks
        self._storage = storage
        self._events = events
        self._agents = agents
        self._runs: dict[str, _Run] = {}
        self._queue: list[_Run] = []
        self._at_work: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(
            max_workers=sum(len(team) for team in agents.values()), thread_name_prefix="emulator-agent"
        )
        self._closing = False

    def submit(self, task: TaskRow, definition: Definition) -> None:
        """Take on an accepted task."""
        run = self._runs[task.id] = _Run(task, definition)
        self._begin(self._schedule(run))

    def cancel(self, task: TaskRow) -> None:
        """Cancel a task; no effect on one that is over.

        A task that an agent has already stops at its next checkpoint, and is `cancelled` then: on the platform, too,
        the gateway can only tell the agent to abort.
        """
        run = self._runs.get(task.id)
        if run is None:
            return
        run.halt("cancelled")
        if not any(agent.current_task_id == task.id for agent in self._team_of(run)):
            if run in self._queue:
                self._queue.remove(run)
            self._end(run, "cancelled")

    def halt(self) -> None:
        """Begin to stop all work. What is running stays `running` in the database: the next start fails it."""
        self._closing = True
        for run in self._runs.values():
            run.halt("shutdown")

    async def close(self) -> None:
        """Stop all work and wait until it has stopped."""
        self.halt()
        try:
            await asyncio.gather(*self._at_work)
        finally:
            self._threads.shutdown()

    async def _schedule(self, run: _Run) -> None:
        await asyncio.sleep(PICK_UP_SECONDS)
        if run.stop.is_set():
            return
        if any(agent.can_run(run.definition.required_labels) for agent in self._team_of(run)):
            self._move(run, "queued")
            self._queue.append(run)
            self._hand_out()
        else:
            # The agents here are fixed, so it waits until it is cancelled.
            self._move(run, "waiting")

    def _hand_out(self) -> None:
        """Give queued tasks to idle agents, oldest first."""
        for run in () if self._closing else tuple(self._queue):
            agent = self._idle_agent_for(run)
            if agent:
                self._queue.remove(run)
                agent.current_task_id = run.task.id
                self._begin(self._carry_out(run, agent))

    async def _carry_out(self, run: _Run, agent: EmulatedAgent) -> None:
        try:
            await asyncio.sleep(ACKNOWLEDGE_SECONDS)
            if run.reason == "cancelled":
                self._end(run, "cancelled")
            elif not run.stop.is_set():
                self._start(run, agent)
                self._record(run, await self._execute(run))
        finally:
            agent.current_task_id = None
            self._hand_out()

    async def _execute(self, run: _Run) -> TaskOutcome:
        loop = asyncio.get_running_loop()

        def report(progress: Progress) -> None:
            event = progress_event(run.task.id, progress)
            loop.call_soon_threadsafe(self._events.publish, run.task.id, event)

        timeout = run.definition.task_timeout
        timer = loop.call_later(timeout, run.halt, "timeout") if timeout else None
        try:
            return await loop.run_in_executor(
                self._threads, run_task, run.task, run.definition, self._storage, run.stop, report
            )
        finally:
            if timer:
                timer.cancel()

    def _start(self, run: _Run, agent: EmulatedAgent) -> None:
        self._tasks.mark_running(
            run.task.id, agent_id=agent.agent_id, labels=agent.labels, gateway_id=GATEWAY_ID, gpu_type=GPU_TYPE
        )
        self._announce(run)

    def _record(self, run: _Run, outcome: TaskOutcome) -> None:
        if outcome.status == "completed":
            self._tasks.mark_completed(run.task.id, task_output=outcome.task_output, outputs=outcome.output_keys)
            self._finish(run)
        elif outcome.status == "failed":
            self._end(run, "failed", outcome.error)
        elif run.reason == "timeout":
            self._end(run, "failed", f"task timed out after {run.definition.task_timeout} seconds")
        elif run.reason == "cancelled":
            self._end(run, "cancelled")

    def _move(self, run: _Run, status: str) -> None:
        self._tasks.set_status(run.task.id, status)
        self._announce(run)

    def _end(self, run: _Run, status: str, error: str = "") -> None:
        self._tasks.mark_ended(run.task.id, status, error)
        self._finish(run)

    def _finish(self, run: _Run) -> None:
        del self._runs[run.task.id]
        self._announce(run)

    def _announce(self, run: _Run) -> None:
        self._events.publish(run.task.id, status_event(self._tasks.get(run.task.id)))

    def _idle_agent_for(self, run: _Run) -> EmulatedAgent | None:
        for agent in self._team_of(run):
            if agent.status == "idle" and agent.can_run(run.definition.required_labels):
                return agent
        return None

    def _team_of(self, run: _Run) -> Sequence[EmulatedAgent]:
        return self._agents[run.task.team_id]

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
