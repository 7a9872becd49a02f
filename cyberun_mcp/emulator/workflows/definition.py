"""The description of a workflow: its versions and their parameters."""

from dataclasses import dataclass
from typing import Any, Literal

from cyberun_mcp.emulator.workflows.job import WorkflowFunction

ParameterType = Literal["string", "number", "boolean", "select", "file"]


@dataclass(frozen=True)
class ParameterDefinition:
    """A parameter with the fields that the API shows."""

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

    def to_json(self) -> dict[str, Any]:
        """The parameter as the API shows it, without empty fields."""
        fields: dict[str, Any] = {"key": self.key, "type": self.type, "label": self.label, "required": self.required}
        for name in ("description", "default", "min", "max", "options", "accept", "node_id", "field", "target_path"):
            value = getattr(self, name)
            if value is not None and value not in ("", ()):
                fields[name] = list(value) if isinstance(value, tuple) else value
        return fields


@dataclass(frozen=True)
class WorkflowVersion:
    """One version of a workflow and the code that runs it."""

    display_name: str
    description: str
    parameters: tuple[ParameterDefinition, ...]
    run: WorkflowFunction
    required_labels: tuple[str, ...] = ("comfyui",)
    task_timeout: int = 300
    """In seconds from the start of running; 0 for no limit."""
    default_dispatch_target: str = "agent"
    tool_type: str = "comfyui"
    preferred_gpu: str | None = None
    min_vram_gb: int | None = None
    required_models: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkflowDefinition:
    """A workflow with all its versions. They count from 1; the last one is live."""

    slug: str
    versions: tuple[WorkflowVersion, ...]
    status: Literal["active", "disabled"] = "active"

    @property
    def live_version(self) -> int:
        """The number of the version that runs if a request names none."""
        return len(self.versions)

    def version(self, number: int) -> WorkflowVersion | None:
        """The version with this number."""
        return self.versions[number - 1] if 1 <= number <= len(self.versions) else None


# Parameters of more than one workflow.

PROMPT = ParameterDefinition(
    "prompt",
    "string",
    "Prompt",
    "What to draw. Words such as sunset, night, ocean, forest, city, desert, snow are understood.",
    required=True,
    node_id="6",
    field="text",
)
SEED = ParameterDefinition(
    "seed",
    "number",
    "Seed",
    "The same prompt and seed give the same picture.",
    default=0,
    min=0,
    max=2**32 - 1,
    node_id="3",
    field="seed",
)
INPUT_IMAGE = ParameterDefinition(
    "input_image",
    "file",
    "Input image",
    "The file_key of an uploaded image.",
    required=True,
    accept=("image/png", "image/jpeg", "image/webp"),
    node_id="10",
    field="image",
)
