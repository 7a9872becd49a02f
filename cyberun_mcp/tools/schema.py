"""JSON Schemas every client accepts, from Python types.

Object roots, no `$ref`, no null unions, no type arrays, no titles: each rule is some client's bug report (Gemini and
OpenAI reject unions and references, Codex drops what it does not know). What a schema says is also said in words, by
`in_words`, because several clients show the model no more than that.
"""

import inspect
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

JsonSchema = dict[str, Any]


def arguments_model(tool: Callable[..., Any]) -> type[BaseModel]:
    """The model of a tool's arguments, read off its signature: strict types, nothing beyond the named arguments.

    `X | None = None` means "may be left out": the argument is then absent, never null.
    """
    hints = get_type_hints(tool, include_extras=True)
    arguments = list(inspect.signature(tool).parameters.values())[1:]  # the first is the Call
    members: dict[str, Any] = {
        each.name: (_without_none(hints[each.name]), ... if each.default is each.empty else each.default)
        for each in arguments
    }
    return create_model(tool.__name__, __config__=ConfigDict(extra="forbid", strict=True), **members)


@cache  # each call with wrong arguments needs it; making it takes up to 3 ms and leaves a hundred objects in cycles
def input_schema(model: type[BaseModel]) -> JsonSchema:
    """The published schema of a tool's arguments. Every caller gets the same object, which nobody may change."""
    return _portable(model.model_json_schema())


def output_schema(answer: TypeAdapter[Any]) -> JsonSchema:
    """The published schema of a tool's answer; open, because the platform may add fields."""
    return _portable(answer.json_schema())


def in_words(schema: JsonSchema) -> str:
    """What a schema accepts, as a person would say it: "an integer from 1 to 100"."""
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
        return Union[tuple(each for each in get_args(hint) if each is not types.NoneType)]  # noqa: UP007 - built at run time
    return hint


def _is_noise(key: str, value: Any) -> bool:
    return (
        key in ("title", "$defs") or value is None or value == {} or (key == "additionalProperties" and value is True)
    )


def _portable(schema: JsonSchema) -> JsonSchema:
    definitions = schema.get("$defs", {})

    def clean(node: Any) -> Any:
        if isinstance(node, list):
            return [clean(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = definitions[node["$ref"].removeprefix("#/$defs/")]
            return clean({**target, **{key: value for key, value in node.items() if key != "$ref"}})
        cleaned = {
            key: clean(value) for key, value in node.items() if key != "properties" and not _is_noise(key, value)
        }
        if "properties" in node:
            cleaned["properties"] = {name: clean(each) for name, each in node["properties"].items()}
        return cleaned

    result: JsonSchema = clean(schema)
    return result
