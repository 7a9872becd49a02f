"""Declaring a tool: one typed async function becomes its name, description, schemas, validation and remedy.

The SDK's own high-level decorator accepts unknown arguments, reports an unknown tool as a tool error and puts validator
text into errors, so this thin one stands on the low-level `Server` instead.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import mcp_types
from mcp_types import ToolAnnotations
from pydantic import BaseModel, TypeAdapter

from cyberun_mcp.errors import Remedy
from cyberun_mcp.tools.in_flight import CallInFlight
from cyberun_mcp.tools.schema import arguments_model, input_schema, output_schema

if TYPE_CHECKING:  # loaded at the first call: no client has to wait for it before its first answer
    from cyberun_mcp.api.client import CyberunClient

READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
# Submitting costs money and cannot be undone by repeating, but destroys nothing.
SUBMITS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True)
CANCELS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
# What a service does with a request is its author's business, so the worst is assumed.
CALLS_OUT = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True)


Report = Callable[[float, float | None, str | None], Awaitable[None]]


@dataclass(frozen=True)
class Call:
    """What a tool is handed beside its arguments.

    `api` is the platform as this caller sees it. `report` sends one `notifications/progress` (progress, total, message)
    and does nothing when the client gave no token. `patience` is how long, in seconds, this client bears one call.
    `in_flight` is this call as whoever ends the process sees it.
    """

    api: "CyberunClient"
    report: Report
    patience: float
    in_flight: CallInFlight


@dataclass(frozen=True)
class Link:
    """One produced file, offered to the client as a `resource_link`."""

    uri: str
    name: str
    mime_type: str
    description: str


@dataclass(frozen=True)
class Answer:
    """A tool's answer: one JSON object, and links to what it produced.

    `in_text` replaces the object in the text block where saying it twice would not fit a client's limits.
    """

    structured: dict[str, Any]
    links: list[Link] = field(default_factory=list)
    in_text: dict[str, Any] | None = None


ToolFunction = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True)
class Tool:
    """A declared tool. What follows from its declaration is made when it is asked for: no call waits for another's."""

    run: ToolFunction
    title: str
    annotations: ToolAnnotations
    answer_type: Any
    remedy: Remedy

    @property
    def name(self) -> str:
        """The tool's name, which is its function's."""
        return self.run.__name__

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The model of its arguments."""
        return arguments_model(self.run)

    @cached_property
    def answer(self) -> TypeAdapter[Any]:
        """What its structured content is."""
        return TypeAdapter(self.answer_type)

    @cached_property
    def listing(self) -> mcp_types.Tool:
        """What `tools/list` shows of it."""
        return mcp_types.Tool(
            name=self.name,
            title=self.title,
            description=" ".join(inspect.cleandoc(self.run.__doc__ or "").split()),
            input_schema=input_schema(self.arguments),
            output_schema=output_schema(self.answer),
            annotations=self.annotations,
        )


def tool(
    title: str, annotations: ToolAnnotations, answer: Any, *, finder: str = "", forbidden: str | None = None
) -> Callable[[ToolFunction], Tool]:
    """Declare a tool. Its docstring is the description the model reads, its signature the arguments.

    `answer` is the type of its structured content, `finder` the tool that lists the ids it takes.
    """

    def declare(run: ToolFunction) -> Tool:
        safe_to_repeat = bool(annotations.idempotent_hint)
        remedy = Remedy(finder, safe_to_repeat) if forbidden is None else Remedy(finder, safe_to_repeat, forbidden)
        return Tool(run, title, annotations, answer, remedy)

    return declare
