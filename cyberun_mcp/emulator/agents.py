"""Agents: the workers that run tasks, here threads on the CPU, and how one of them runs a task."""

import logging
import os
import platform
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cyberun_mcp.emulator.errors import WorkflowFailed, WorkflowStopped
from cyberun_mcp.emulator.formats import current_timestamp
from cyberun_mcp.emulator.object_storage import ObjectStorage, guess_content_type
from cyberun_mcp.emulator.task_table import TaskRow
from cyberun_mcp.emulator.workflows.definition import WorkflowVersion
from cyberun_mcp.emulator.workflows.job import Job, OutputFile, Progress, WorkflowResult

GPU_TYPE = "none (CPU emulator)"
GATEWAY_ID = "gw-emulator"
_VERSION = "0.1.0"
_log = logging.getLogger(__name__)


@dataclass
class EmulatedAgent:
    """An agent of one team. It runs one task at a time."""

    agent_id: str
    labels: tuple[str, ...]
    in_tunnel: bool = False
    """Its operator has an interactive session open, so it takes no tasks. Here this never changes."""
    current_task_id: str | None = None
    connected_at: str = field(default_factory=current_timestamp)

    @property
    def status(self) -> Literal["tunnel", "busy", "idle"]:
        """The `agent_status` of the API."""
        if self.in_tunnel:
            return "tunnel"
        return "busy" if self.current_task_id else "idle"

    def can_run(self, required_labels: tuple[str, ...]) -> bool:
        """Whether it takes tasks with these labels, immediately or once it is idle."""
        return not self.in_tunnel and set(required_labels) <= set(self.labels)

    def to_json(self, tasks_completed: int) -> dict[str, Any]:
        """The agent as the API lists it. It runs in this process, so its last heartbeat is always the current time."""
        running_tasks = [self.current_task_id] if self.current_task_id else []
        fields: dict[str, Any] = {
            "agent_id": self.agent_id,
            "agent_status": self.status,
            "agent_labels": list(self.labels),
            "last_heartbeat": current_timestamp(),
            "agent_version": _VERSION,
            "tool": "cyberun-mcp-emulator",
            "tool_version": _VERSION,
            # The platform's name for the number of tasks an agent runs at once. There is no GPU.
            "gpu_capacity": 1,
            "running_count": len(running_tasks),
            "running_tasks": running_tasks,
            "platform_arch": f"{platform.system().lower()}/{platform.machine()}",
            "connected_at": self.connected_at,
            "tasks_completed": tasks_completed,
            "system_stats": _system_stats(),
        }
        if self.current_task_id:
            fields["current_task_id"] = self.current_task_id
        return fields


@dataclass(frozen=True)
class TaskOutcome:
    """How running a task ended. The scheduler knows why it stopped a task."""

    status: Literal["completed", "failed", "stopped"]
    error: str = ""
    task_output: dict[str, Any] = field(default_factory=dict)
    output_keys: dict[str, str] = field(default_factory=dict)
    """Object storage keys by output id."""


def run_task(
    task: TaskRow,
    workflow_version: WorkflowVersion,
    storage: ObjectStorage,
    stop: threading.Event,
    report: Callable[[Progress], None],
) -> TaskOutcome:
    """Run the code of a workflow in the calling thread and store its outputs, all of them or none."""
    file_parameters = {parameter.key for parameter in workflow_version.parameters if parameter.type == "file"}
    inputs = {key: storage.path(value) for key, value in task.parameters.items() if key in file_parameters and value}
    try:
        with storage.temporary_folder() as folder:
            result = workflow_version.run(Job(task.parameters, inputs, folder, report, stop))
            return _store_outputs(task, result, folder, storage)
    except WorkflowStopped:
        return TaskOutcome("stopped")
    except WorkflowFailed as error:
        return TaskOutcome("failed", error=str(error))
    except Exception as error:
        # A bug in a workflow must end the task and not the emulator.
        _log.exception("task %s crashed", task.id)
        return TaskOutcome("failed", error=f"{type(error).__name__}: {error}")


def _store_outputs(task: TaskRow, result: WorkflowResult, folder: Path, storage: ObjectStorage) -> TaskOutcome:
    is_cloud_task = task.dispatch_target == "cloud"
    root = "outputs" if is_cloud_task else "tasks"
    keys = {output.id: f"{root}/{task.id}/{output.name}" for output in result.outputs}
    sizes = {output.id: (folder / output.name).stat().st_size for output in result.outputs}
    for output in result.outputs:
        storage.store(folder / output.name, keys[output.id])
    task_output: dict[str, Any]
    if is_cloud_task:
        task_output = {output.id: _describe(output, keys[output.id], sizes[output.id]) for output in result.outputs}
    else:
        task_output = {"storage_key": keys[result.outputs[0].id], **result.summary}
    return TaskOutcome("completed", task_output=task_output, output_keys=keys)


def _describe(output: OutputFile, key: str, size: int) -> dict[str, Any]:
    return {"s3_key": key, "content_type": guess_content_type(output.name), "size": size, **output.metadata}


def _system_stats() -> dict[str, Any]:
    return {
        "os_type": os.name,
        "gpu_devices": [{"device_name": "CPU emulator, no GPU", "device_type": "cpu", "vram_total": 0, "vram_free": 0}],
    }
