"""The database table of tasks."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cyberun_mcp.emulator.formats import current_timestamp

STATUSES = ("pending", "waiting", "queued", "running", "completed", "failed", "cancelled")
_INTERRUPTED = "interrupted: the emulator stopped while this task was running"


@dataclass(frozen=True)
class TaskRow:
    """One task. `endpoints/tasks.py` turns it into the JSON of the API."""

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
    """Object storage keys by output id."""


@dataclass(frozen=True)
class NewTask:
    """The columns that a run request determines."""

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


class TaskTable:
    """Reads and writes the table. Statuses are those of `STATUSES`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def insert(self, task: NewTask) -> None:
        """Add a task with the status `pending`."""
        self._connection.execute(
            "INSERT INTO tasks (id, team_id, workflow_id, workflow_slug, version, parameters, origin, dispatch_target,"
            " target_pool, submitter_region, tool_type, task_status, created_at)"
            " VALUES (:id, :team_id, :workflow_id, :workflow_slug, :version, :parameters, :origin, :dispatch_target,"
            " :target_pool, :submitter_region, :tool_type, 'pending', :created_at)",
            {**vars(task), "parameters": json.dumps(task.parameters), "created_at": current_timestamp()},
        )

    def find(self, task_id: str) -> TaskRow | None:
        """The task with this id, in any team."""
        row = self._connection.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchone()
        return _to_task_row(row) if row else None

    def get(self, task_id: str) -> TaskRow:
        """The task with this id. Raises `LookupError` if there is none."""
        task = self.find(task_id)
        if task is None:
            raise LookupError(task_id)
        return task

    def list_page(self, team_id: str, *, status: str | None, limit: int, offset: int) -> tuple[list[TaskRow], int]:
        """One page of a team's tasks, newest first, and their total count. `status=None` includes every status."""
        where = {"team_id": team_id, "status": status, "limit": limit, "offset": offset}
        rows = self._connection.execute(
            "SELECT * FROM tasks WHERE team_id = :team_id AND (:status IS NULL OR task_status = :status)"
            " ORDER BY sequence DESC LIMIT :limit OFFSET :offset",
            where,
        ).fetchall()
        (total,) = self._connection.execute(
            "SELECT count(*) FROM tasks WHERE team_id = :team_id AND (:status IS NULL OR task_status = :status)", where
        ).fetchone()
        return [_to_task_row(row) for row in rows], total

    def list_unstarted(self) -> list[TaskRow]:
        """All tasks that no agent has started yet, oldest first."""
        rows = self._connection.execute(
            "SELECT * FROM tasks WHERE task_status IN ('pending', 'waiting', 'queued') ORDER BY sequence"
        ).fetchall()
        return [_to_task_row(row) for row in rows]

    def count_completed(self, team_id: str, agent_id: str) -> int:
        """How many tasks an agent has completed."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM tasks WHERE team_id = ? AND task_status = 'completed' AND agent_id = ?",
            (team_id, agent_id),
        ).fetchone()
        return int(count)

    def set_status(self, task_id: str, status: str) -> None:
        """Record `waiting` or `queued`."""
        self._connection.execute("UPDATE tasks SET task_status = ? WHERE id = ?", (status, task_id))

    def mark_running(
        self, task_id: str, *, agent_id: str, labels: Sequence[str], gateway_id: str, gpu_type: str
    ) -> None:
        """Record that an agent has acknowledged the task and runs it."""
        self._connection.execute(
            "UPDATE tasks SET task_status = 'running', started_at = ?, agent_id = ?, agent_labels = ?, gateway_id = ?,"
            " gpu_type = ? WHERE id = ?",
            (current_timestamp(), agent_id, json.dumps(list(labels)), gateway_id, gpu_type, task_id),
        )

    def mark_completed(self, task_id: str, *, task_output: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
        """Record that the outputs are in the object storage; `outputs` has their keys by output id."""
        self._connection.execute(
            "UPDATE tasks SET task_status = 'completed', completed_at = ?, task_output = ?, outputs = ? WHERE id = ?",
            (current_timestamp(), json.dumps(task_output), json.dumps(outputs), task_id),
        )

    def mark_ended(self, task_id: str, status: str, error: str = "") -> None:
        """Record `failed` or `cancelled`."""
        self._connection.execute(
            "UPDATE tasks SET task_status = ?, task_error = ?, completed_at = ? WHERE id = ?",
            (status, error, current_timestamp(), task_id),
        )

    def fail_interrupted(self) -> None:
        """Mark as `failed` what the previous process was running when it ended; called once at startup."""
        self._connection.execute(
            "UPDATE tasks SET task_status = 'failed', task_error = ?, completed_at = ? WHERE task_status = 'running'",
            (_INTERRUPTED, current_timestamp()),
        )


def _to_task_row(row: sqlite3.Row) -> TaskRow:
    columns = dict(row)
    for name in ("parameters", "agent_labels", "task_output", "outputs"):
        if columns[name] is not None:
            columns[name] = json.loads(columns[name])
    return TaskRow(**columns)
