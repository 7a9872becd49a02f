"""From what a model wrote to a tool's arguments, or to words that let it repair the call."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from cyberun_mcp.errors import InvalidArguments
from cyberun_mcp.tools.schema import JsonSchema, in_words, input_schema

LONGEST_SHOWN_INTEGER = 10**15  # and beyond 4,300 digits Python would refuse to show it
_SEGMENT = re.compile(r"[^\s/\\?#%\x00-\x1f\x7f]+")
JSON_TYPE_NAMES = {str: "a string", bool: "a boolean", int: "an integer", float: "a number", list: "an array"}


def _parsed_if_text(value: Any) -> Any:
    """Several models send an object as the JSON string of it; what does not parse is left to be refused."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _one_segment(identifier: str) -> str:
    """An id or a slug. Encoding a slash is not enough: a router that matches decoded paths would split it again."""
    if not _SEGMENT.fullmatch(identifier) or identifier.strip(".") == "":
        raise ValueError("an id or a slug has no slashes, blanks, control characters or any of \\ ? # %")
    return identifier


_Object = TypeVar("_Object")

JsonObjectOf = Annotated[_Object, BeforeValidator(_parsed_if_text)]
Text = Annotated[str, StringConstraints(min_length=1)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_one_segment)]
PageNumber = Annotated[int, Field(ge=1, description="Page, from 1. Default 1.")]
PerPage = Annotated[int, Field(ge=1, le=100, description="Items a page, 1 to 100. Default 20.")]


def parse_arguments(tool: str, model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """The validated arguments by name. Raises InvalidArguments naming each wrong one and all the valid ones."""
    try:
        parsed = model.model_validate(dict(given))
    except ValidationError as error:
        schema = input_schema(model)
        problems = [_problem(schema, each) for each in error.errors(include_url=False)]
        lines = [f"Invalid arguments for {tool}; nothing was sent.", *problems, _valid(schema)]
        raise InvalidArguments("\n".join(lines)) from error
    return {name: getattr(parsed, name) for name in model.model_fields}


def _problem(schema: JsonSchema, error: ErrorDetails) -> str:
    path = [part for part in error["loc"] if isinstance(part, str)]
    name = ".".join(map(str, error["loc"]))
    parent, node = schema, schema
    for part in path:
        parent, node = node, node.get("properties", {}).get(part, {})
    if error["type"] == "extra_forbidden":
        from difflib import get_close_matches  # 1.5 ms that no start has to pay

        close = get_close_matches(str(path[-1]), parent.get("properties", {}), n=1)
        return f"- {name}: unknown argument." + (f" Did you mean {close[0]}?" if close else "")
    if error["type"] == "missing":
        return f"- {name}: missing, expected {in_words(node)}."
    if error["type"] == "value_error":
        return f"- {name}: {error['ctx']['error']}."
    return f"- {name}: expected {in_words(node)}, got {_kind_of(error['input'])}."


def _kind_of(value: Any) -> str:
    """The JSON type of a value; the value itself is not repeated, since it may hold a secret."""
    if value is None:
        return "null"
    if value == "":
        return "an empty string"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < LONGEST_SHOWN_INTEGER:
        return str(value)
    return JSON_TYPE_NAMES.get(type(value), "an object")


def _valid(schema: JsonSchema) -> str:
    required = schema.get("required", ())
    names = [
        f"{name} ({in_words(node)}{', required' if name in required else ''})"
        for name, node in schema.get("properties", {}).items()
    ]
    return f"Valid arguments: {', '.join(names) or 'none'}."
