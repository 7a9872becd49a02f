"""Declaring a tool: a typed async function becomes its name, description, schemas, validation and error hints.

The SDK's high-level decorator accepts unknown arguments, reports an unknown tool as a tool error and puts validator
text into errors. So this decorator is for the low-level `Server` instead.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import mcp_types
from mcp_types import ToolAnnotations
from pydantic import BaseModel, TypeAdapter

from cyberun_mcp.errors import ErrorHints
from cyberun_mcp.tools.in_flight_calls import CallInFlight
from cyberun_mcp.tools.schema import arguments_model, input_schema, output_schema

if TYPE_CHECKING:  # loaded at the first call, so that it does not delay the start
    from cyberun_mcp.api.client import CyberunClient

READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
# Submitting costs money each time, but destroys nothing.
SUBMITS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True)
CANCELS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
# A service may do anything with a request, so the worst is assumed.
CALLS_OUT = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True)

ReportProgress = Callable[[float, float | None, str | None], Awaitable[None]]


@dataclass(frozen=True)
class ToolCall:
    """What a tool gets besides its arguments.

    `api` is the platform with this caller's key. `report_progress` sends one `notifications/progress` (progress, total,
    message), and does nothing when the client sent no token. `default_wait` is how many seconds this client waits for
    one call. `in_flight` is this call in the registry of running calls, for shutdown.
    """

    api: "CyberunClient"
    report_progress: ReportProgress
    default_wait: float
    in_flight: CallInFlight


@dataclass(frozen=True)
class OutputLink:
    """One output file, sent to the client as a `resource_link`."""

    uri: str
    name: str
    mime_type: str
    description: str


@dataclass(frozen=True)
class ToolResult:
    """A tool's result: one JSON object, and links to the files it produced.

    `in_text` replaces the object in the text block when repeating it would exceed a client's limits.
    """

    structured: dict[str, Any]
    links: list[OutputLink] = field(default_factory=list)
    in_text: dict[str, Any] | None = None


ToolFunction = Callable[..., Awaitable[ToolResult]]


@dataclass(frozen=True)
class Tool:
    """A declared tool. Its models and schemas are built lazily, so that a call builds only those of its own tool."""

    run: ToolFunction
    title: str
    annotations: ToolAnnotations
    result_type: Any
    error_hints: ErrorHints

    @property
    def name(self) -> str:
        """The tool's name, which is the name of its function."""
        return self.run.__name__

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The model that validates the arguments."""
        return arguments_model(self.run)

    @cached_property
    def result(self) -> TypeAdapter[Any]:
        """The type of the structured content."""
        return TypeAdapter(self.result_type)

    @cached_property
    def listing(self) -> mcp_types.Tool:
        """The entry in `tools/list`."""
        return mcp_types.Tool(
            name=self.name,
            title=self.title,
            description=" ".join(inspect.cleandoc(self.run.__doc__ or "").split()),
            input_schema=input_schema(self.arguments),
            output_schema=output_schema(self.result),
            annotations=self.annotations,
        )


def tool(
    title: str, annotations: ToolAnnotations, result: Any, *, list_tool: str = "", forbidden: str | None = None
) -> Callable[[ToolFunction], Tool]:
    """Declare a tool. The function's docstring is the description the model reads, its signature the arguments.

    `result` is the type of the structured content. `list_tool` and `forbidden` are those of ErrorHints.
    """

    def declare(run: ToolFunction) -> Tool:
        hints = ErrorHints(list_tool, repeatable=bool(annotations.idempotent_hint))
        if forbidden is not None:
            hints = replace(hints, forbidden=forbidden)
        return Tool(run, title, annotations, result, hints)

    return declare
