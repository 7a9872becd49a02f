"""The description of a workflow: parameters, requirements, versions."""

from dataclasses import dataclass
from typing import Any, Literal

from cyberun_mcp.emulator.workflows.job import WorkflowFunction

ParameterType = Literal["string", "number", "boolean", "select", "file"]


@dataclass(frozen=True)
class ParameterDefinition:
    """One ParameterDef, as the API shows it."""

    key: str
    type: ParameterType
    label: str
    description: str = ""
    required: bool = False
    default: str | float | bool | None = None
    min: float | None = None
    max: float | None = None
    options: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    node_id: str | None = None
    field: str | None = None
    target_path: str | None = None

    def wire(self) -> dict[str, Any]:
        """The members that say something."""
        told: dict[str, Any] = {"key": self.key, "type": self.type, "label": self.label, "required": self.required}
        for name in ("description", "default", "min", "max", "options", "accept", "node_id", "field", "target_path"):
            value = getattr(self, name)
            if value is not None and value not in ("", ()):
                told[name] = list(value) if isinstance(value, tuple) else value
        return told


@dataclass(frozen=True)
class WorkflowVersion:
    """One version of a workflow, with the code that runs it."""

    display_name: str
    description: str
    parameters: tuple[ParameterDefinition, ...]
    run: WorkflowFunction
    required_labels: tuple[str, ...] = ("comfyui",)
    task_timeout: int = 300
    """Seconds of running; 0 is no limit."""
    default_dispatch_target: str = "agent"
    tool_type: str = "comfyui"
    preferred_gpu: str | None = None
    min_vram_gb: int | None = None
    required_models: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkflowDefinition:
    """A workflow with all its versions, the live one last."""

    slug: str
    versions: tuple[WorkflowVersion, ...]
    status: Literal["active", "disabled"] = "active"

    @property
    def live_version(self) -> int:
        """The number of the live version; versions count from 1."""
        return len(self.versions)

    def version(self, number: int) -> WorkflowVersion | None:
        """The definition with this version number."""
        return self.versions[number - 1] if 1 <= number <= len(self.versions) else None
