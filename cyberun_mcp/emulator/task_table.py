"""Tasks as the database keeps them."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cyberun_mcp.emulator.formats import current_timestamp
from cyberun_mcp.emulator.paging import Page

STATUSES = ("pending", "waiting", "queued", "running", "completed", "failed", "cancelled")
TERMINAL = frozenset({"completed", "failed", "cancelled"})
INTERRUPTED = "interrupted: the emulator stopped while this task was running"


@dataclass(frozen=True)
class Task:
    """One row; the wire forms are made in `endpoints/tasks.py`."""

    sequence: int
    id: str
    team_id: str
    workflow_id: str
    workflow_slug: str
    version: int
    parameters: dict[str, Any]
    origin: str
    dispatch_target: str
    target_pool: str
    submitter_region: str | None
    tool_type: str
    task_status: str
    task_error: str
    created_at: str
    started_at: str | None
    completed_at: str | None
    agent_id: str | None
    agent_labels: list[str] | None
    gateway_id: str | None
    gpu_type: str | None
    task_output: dict[str, Any] | None
    outputs: dict[str, str] | None
    """Output id → storage key."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.task_status in TERMINAL


@dataclass(frozen=True)
class NewTask:
    """What a run request fixes; the rest of a task comes about later."""

    id: str
    team_id: str
    workflow_id: str
    workflow_slug: str
    version: int
    parameters: Mapping[str, Any]
    origin: str
    dispatch_target: str
    target_pool: str
    submitter_region: str | None
    tool_type: str


class Tasks:
    """The table of tasks."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, task: NewTask) -> None:
        """Accept a task: it is `pending` from now on."""
        self._connection.execute(
            "INSERT INTO tasks (id, team_id, workflow_id, workflow_slug, version, parameters, origin, dispatch_target,"
            " target_pool, submitter_region, tool_type, task_status, created_at)"
            " VALUES (:id, :team_id, :workflow_id, :workflow_slug, :version, :parameters, :origin, :dispatch_target,"
            " :target_pool, :submitter_region, :tool_type, 'pending', :created_at)",
            {**vars(task), "parameters": json.dumps(task.parameters), "created_at": current_timestamp()},
        )

    def get(self, task_id: str) -> Task | None:
        """The task with this id, of whichever team."""
        row = self._connection.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchone()
        return _task(row) if row else None

    def known(self, task_id: str) -> Task:
        """The task with this id, which is known to exist."""
        task = self.get(task_id)
        if task is None:
            raise LookupError(task_id)
        return task

    def page(self, team_id: str, page: Page, status: str | None) -> tuple[list[Task], int]:
        """One page of a team's tasks, newest first, and how many there are in all."""
        where = {"team_id": team_id, "status": status, "limit": page.per_page, "offset": page.offset}
        rows = self._connection.execute(
            "SELECT * FROM tasks WHERE team_id = :team_id AND (:status IS NULL OR task_status = :status)"
            " ORDER BY sequence DESC LIMIT :limit OFFSET :offset",
            where,
        ).fetchall()
        (total,) = self._connection.execute(
            "SELECT count(*) FROM tasks WHERE team_id = :team_id AND (:status IS NULL OR task_status = :status)", where
        ).fetchone()
        return [_task(row) for row in rows], total

    def unfinished(self) -> list[Task]:
        """Tasks that still have something ahead of them, oldest first."""
        rows = self._connection.execute(
            "SELECT * FROM tasks WHERE task_status IN ('pending', 'waiting', 'queued') ORDER BY sequence"
        ).fetchall()
        return [_task(row) for row in rows]

    def completed_by(self, team_id: str, agent_id: str) -> int:
        """How many tasks this agent has completed."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM tasks WHERE team_id = ? AND task_status = 'completed' AND agent_id = ?",
            (team_id, agent_id),
        ).fetchone()
        return int(count)

    def move(self, task_id: str, status: str) -> None:
        """A change of status on the way to an agent."""
        self._connection.execute("UPDATE tasks SET task_status = ? WHERE id = ?", (status, task_id))

    def start(self, task_id: str, *, agent_id: str, labels: Sequence[str], gateway_id: str, gpu_type: str) -> None:
        """An agent has acknowledged the task."""
        self._connection.execute(
            "UPDATE tasks SET task_status = 'running', started_at = ?, agent_id = ?, agent_labels = ?, gateway_id = ?,"
            " gpu_type = ? WHERE id = ?",
            (current_timestamp(), agent_id, json.dumps(list(labels)), gateway_id, gpu_type, task_id),
        )

    def complete(self, task_id: str, *, task_output: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
        """The task is done and its outputs are in the object storage."""
        self._connection.execute(
            "UPDATE tasks SET task_status = 'completed', completed_at = ?, task_output = ?, outputs = ? WHERE id = ?",
            (current_timestamp(), json.dumps(task_output), json.dumps(outputs), task_id),
        )

    def end(self, task_id: str, status: str, error: str = "") -> None:
        """The task has failed or was cancelled."""
        self._connection.execute(
            "UPDATE tasks SET task_status = ?, task_error = ?, completed_at = ? WHERE id = ?",
            (status, error, current_timestamp(), task_id),
        )

    def fail_interrupted(self) -> None:
        """On start: what was running when the last process ended is not running any more."""
        self._connection.execute(
            "UPDATE tasks SET task_status = 'failed', task_error = ?, completed_at = ? WHERE task_status = 'running'",
            (INTERRUPTED, current_timestamp()),
        )


def _task(row: sqlite3.Row) -> Task:
    columns = dict(row)
    for name in ("parameters", "agent_labels", "task_output", "outputs"):
        if columns[name] is not None:
            columns[name] = json.loads(columns[name])
    return Task(**columns)
