"""JSON Schemas that every client accepts, from Python types.

Object roots, no `$ref`, no null unions, no type arrays, no titles: each rule comes from a client's bug report (Gemini
and OpenAI reject unions and references, Codex drops unknown keywords). Several clients show a model only the
descriptions, so those repeat the schema in words.
"""

import inspect
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

JsonSchema = dict[str, Any]


def arguments_model(tool: Callable[..., Any]) -> type[BaseModel]:
    """The model of a tool's arguments, from its signature: strict types, no unknown arguments.

    `X | None = None` means that the argument may be omitted. It may not be null.
    """
    hints = get_type_hints(tool, include_extras=True)
    arguments = list(inspect.signature(tool).parameters.values())[1:]  # the first is the ToolCall
    members: dict[str, Any] = {
        argument.name: (
            _without_none(hints[argument.name]),
            ... if argument.default is argument.empty else argument.default,
        )
        for argument in arguments
    }
    return create_model(tool.__name__, __config__=ConfigDict(extra="forbid", strict=True), **members)


@cache  # each call with wrong arguments needs it; building it takes up to 3 ms and leaves 100 objects in cycles
def input_schema(model: type[BaseModel]) -> JsonSchema:
    """The published schema of a tool's arguments. It is cached, so do not modify it."""
    return _portable(model.model_json_schema())


def output_schema(result: TypeAdapter[Any]) -> JsonSchema:
    """The published schema of a tool's result. It allows unknown fields, because the platform may add some."""
    return _portable(result.json_schema())


def describe_schema(schema: JsonSchema) -> str:
    """What a schema accepts, in words: "an integer from 1 to 100"."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    kind = schema.get("type", "any value")
    if kind == "object":
        members = schema.get("properties")
        return "an object" + (f" with {', '.join(members)}" if members else "")
    if kind == "string":
        longest = schema.get("maxLength")
        name = "a non-empty string" if schema.get("minLength") else "a string"
        return f"{name} of at most {longest} characters" if longest else name
    low, high = schema.get("minimum"), schema.get("maximum")
    name = "an integer" if kind == "integer" else f"a {kind}"
    if low is not None and high is not None:
        return f"{name} from {low} to {high}"
    return f"{name} of at least {low}" if low is not None else name


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return Union[tuple(member for member in get_args(hint) if member is not types.NoneType)]  # noqa: UP007 - built at run time
    return hint


def _is_noise(key: str, value: Any) -> bool:
    return (
        key in ("title", "$defs") or value is None or value == {} or (key == "additionalProperties" and value is True)
    )


def _portable(schema: JsonSchema) -> JsonSchema:
    definitions = schema.get("$defs", {})

    def clean(node: Any) -> Any:
        if isinstance(node, list):
            return [clean(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = definitions[node["$ref"].removeprefix("#/$defs/")]
            return clean({**target, **{key: value for key, value in node.items() if key != "$ref"}})
        cleaned = {
            key: clean(value) for key, value in node.items() if key != "properties" and not _is_noise(key, value)
        }
        if "properties" in node:
            cleaned["properties"] = {name: clean(member) for name, member in node["properties"].items()}
        return cleaned

    result: JsonSchema = clean(schema)
    return result
