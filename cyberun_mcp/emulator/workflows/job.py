"""What a renderer gets to work with, and what it hands back."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyberun_mcp.emulator.errors import WorkflowStopped


@dataclass(frozen=True)
class Progress:
    """How far a task has come."""

    current: int
    total: int
    node: str | None = None
    stage: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Output:
    """One file a renderer has written into its folder."""

    id: str
    """Its name in `download_urls`: node, kind, index."""
    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    """What to tell about it in the task's output."""


@dataclass(frozen=True)
class Rendered:
    """What a renderer made; the first output is the primary one."""

    outputs: list[Output]
    summary: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One run of a renderer, in a thread of its own.

    That thread shares the interpreter with an MCP server, so renderers stay with Pillow's operations that let go of the
    interpreter lock: resize, filter, blend, composite, paste, point, convert, transform. Measured on 2 cores, the event
    loop then wakes 0.05 ms late; with `ImageChops` it is 5 ms, with `ModeFilter` 50 ms.
    """

    parameters: Mapping[str, Any]
    """All the workflow's parameters, defaults filled in."""
    inputs: Mapping[str, Path]
    """The files behind the `file` parameters."""
    folder: Path
    """Where to write outputs."""
    report: Callable[[Progress], None]
    stop: threading.Event

    def text(self, key: str) -> str:
        """A string or select parameter."""
        return str(self.parameters[key])

    def whole(self, key: str) -> int:
        """A number parameter, as an integer."""
        return int(self.parameters[key])

    def checkpoint(self) -> None:
        """Stop here if told to. Called often enough that a cancellation takes effect within about 0.1 s."""
        if self.stop.is_set():
            raise WorkflowStopped

    def finished(self, progress: Progress) -> None:
        """Report a step that is done."""
        self.checkpoint()
        self.report(progress)


Renderer = Callable[[Job], Rendered]
