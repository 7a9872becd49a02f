"""One run of a workflow: what its code receives, what it reports, and what it returns."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyberun_mcp.emulator.errors import WorkflowStopped


@dataclass(frozen=True)
class Progress:
    """A finished step out of a total, with the node (ComfyUI) or the stage and message (nerfstudio)."""

    current: int
    total: int
    node: str | None = None
    stage: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class OutputFile:
    """A file that the workflow has written to `Job.folder`."""

    id: str
    """The key in `download_urls`: node, kind and index, for example `9.images.0`."""
    name: str
    metadata: dict[str, Any] = field(default_factory=dict)
    """Additional fields for `task_output`."""


@dataclass(frozen=True)
class WorkflowResult:
    """The outputs of a workflow, the primary one first, and the fields for `task_output`."""

    outputs: list[OutputFile]
    summary: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One run of a workflow, in a thread of its own.

    The thread shares the interpreter with an MCP server. So workflows use only Pillow operations that release the
    interpreter lock: resize, filter, blend, composite, paste, point, convert, transform. Measured on 2 cores, the event
    loop then wakes up 0.05 ms late. With `ImageChops` it is 5 ms, with `ModeFilter` 50 ms.
    """

    parameters: Mapping[str, Any]
    """All parameters of the workflow, including those with default values."""
    inputs: Mapping[str, Path]
    """The uploaded files of the `file` parameters, by parameter key."""
    folder: Path
    """Where to write outputs."""
    report: Callable[[Progress], None]
    stop: threading.Event

    def text(self, key: str) -> str:
        """The value of a string or select parameter."""
        return str(self.parameters[key])

    def integer(self, key: str) -> int:
        """The value of a number parameter as an integer."""
        return int(self.parameters[key])

    def checkpoint(self) -> None:
        """Raise `WorkflowStopped` if the task has to stop. Called about every 0.1 s, so that a cancel is prompt."""
        if self.stop.is_set():
            raise WorkflowStopped

    def finish_step(self, progress: Progress) -> None:
        """Report a finished step. This is a checkpoint too."""
        self.checkpoint()
        self.report(progress)


WorkflowFunction = Callable[[Job], WorkflowResult]
"""The code of a workflow. Raises `WorkflowFailed`, or `WorkflowStopped` at a checkpoint."""
