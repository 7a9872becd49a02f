"""One task on one agent: run the workflow's code and keep what it made."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cyberun_mcp.emulator.errors import WorkflowFailed, WorkflowStopped
from cyberun_mcp.emulator.object_storage import ObjectStorage, guess_content_type
from cyberun_mcp.emulator.task_table import TaskRow
from cyberun_mcp.emulator.workflows.definition import Definition
from cyberun_mcp.emulator.workflows.job import Job, Output, Progress, Rendered

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """How an execution ended. `stopped` means it was told to; why is for the scheduler to know."""

    status: Literal["completed", "failed", "stopped"]
    error: str = ""
    task_output: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


def perform(
    task: TaskRow,
    definition: Definition,
    storage: ObjectStorage,
    stop: threading.Event,
    report: Callable[[Progress], None],
) -> Ending:
    """Run a task to its end, in the calling thread. Outputs become objects only when all of them are there."""
    files = {parameter.key for parameter in definition.parameters if parameter.type == "file"}
    inputs = {key: storage.path(value) for key, value in task.parameters.items() if key in files and value}
    try:
        with storage.temporary_folder() as folder:
            rendered = definition.render(Job(task.parameters, inputs, folder, report, stop))
            return _keep(task, rendered, folder, storage)
    except WorkflowStopped:
        return Ending("stopped")
    except WorkflowFailed as error:
        return Ending("failed", error=str(error))
    except Exception as error:
        # An agent's crash is the end of the task, never of the platform.
        _log.exception("task %s crashed", task.id)
        return Ending("failed", error=f"{type(error).__name__}: {error}")


def _keep(task: TaskRow, rendered: Rendered, folder: Path, storage: ObjectStorage) -> Ending:
    root = "outputs" if task.dispatch_target == "cloud" else "tasks"
    keys = {output.id: f"{root}/{task.id}/{output.name}" for output in rendered.outputs}
    sizes = {output.id: (folder / output.name).stat().st_size for output in rendered.outputs}
    for output in rendered.outputs:
        storage.store(folder / output.name, keys[output.id])
    if task.dispatch_target == "cloud":
        told: dict[str, Any] = {
            output.id: _facts(output, keys[output.id], sizes[output.id]) for output in rendered.outputs
        }
    else:
        told = {"storage_key": keys[rendered.outputs[0].id], **rendered.summary}
    return Ending("completed", task_output=told, outputs=keys)


def _facts(output: Output, key: str, size: int) -> dict[str, Any]:
    return {"s3_key": key, "content_type": guess_content_type(output.name), "size": size, **output.facts}
