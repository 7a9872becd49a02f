"""Validating a tool's arguments; an error text lets the model repair the call."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from cyberun_mcp.errors import InvalidArguments, shortened
from cyberun_mcp.tools.schema import JsonSchema, describe_schema, input_schema

# The error text and the work on it are bounded. Before, a call of 3.8 MB with thousands of unknown arguments took 3 s
# and got an error text of 9.8 MB.
MOST_PROBLEMS = 10  # listed; the others are counted
MOST_MEMBERS = 100  # of an object argument; the tools have at most 5, and requests rarely have more headers
LONGEST_NAME = 100  # characters; our own names have at most 24
LONGEST_PROBLEM = 300  # characters
LONGEST_SHOWN_INTEGER = 10**15  # Python raises an error for more than 4,300 digits
_SEGMENT = re.compile(r"[^\s/\\?#%\x00-\x1f\x7f]+")
JSON_TYPE_NAMES = {str: "a string", bool: "a boolean", int: "an integer", float: "a number", list: "an array"}


def _parse_if_text(value: Any) -> Any:
    """Several models send an object as a JSON string. Text that does not parse is left for validation to reject."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    if isinstance(value, dict) and len(value) > MOST_MEMBERS:
        raise ValueError(f"expected an object of at most {MOST_MEMBERS} members, got {len(value):,}")
    return value


def _path_segment(identifier: str) -> str:
    """An id or a slug. Slashes are rejected, not encoded: a router that matches decoded paths would split there."""
    if not _SEGMENT.fullmatch(identifier) or identifier.strip(".") == "":
        raise ValueError("an id or a slug has no slashes, blanks, control characters or any of \\ ? # %")
    return identifier


_Object = TypeVar("_Object")

JsonObjectOf = Annotated[_Object, BeforeValidator(_parse_if_text)]
Text = Annotated[str, StringConstraints(min_length=1)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_path_segment)]
PageNumber = Annotated[int, Field(ge=1, description="Page, from 1. Default 1.")]
PerPage = Annotated[int, Field(ge=1, le=100, description="Items a page, 1 to 100. Default 20.")]


def parse_arguments(tool: str, model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The validated arguments by name. Raises InvalidArguments that names ten problems and all valid arguments."""
    fields = model.model_fields
    unknown = [name for name in arguments if name not in fields]
    checked = [*(name for name in fields if name in arguments), *unknown[:MOST_PROBLEMS]]
    try:
        parsed = model.model_validate({name: arguments[name] for name in checked})
    except ValidationError as error:
        schema = input_schema(model)
        errors = error.errors(include_url=False)
        problems = [
            shortened(_describe_problem(schema, details), LONGEST_PROBLEM) for details in errors[:MOST_PROBLEMS]
        ]
        more = len(errors) + len(unknown[MOST_PROBLEMS:]) - len(problems)
        lines = [
            f"Invalid arguments for {tool}; nothing was sent.",
            *(shortened(problem, LONGEST_PROBLEM) for problem in problems),
            *([f"- and {more:,} more."] if more else []),
            _valid_arguments(schema),
        ]
        raise InvalidArguments("\n".join(lines)) from error
    return {name: getattr(parsed, name) for name in fields}


def _describe_problem(schema: JsonSchema, error: ErrorDetails) -> str:
    path = [part for part in error["loc"] if isinstance(part, str)]
    name = ".".join(shortened(str(part), LONGEST_NAME) for part in error["loc"])
    parent, node = schema, schema
    for part in path:
        parent, node = node, node.get("properties", {}).get(part, {})
    if error["type"] == "extra_forbidden":
        from difflib import get_close_matches  # 1.5 ms, not needed at the start

        close = get_close_matches(path[-1][:LONGEST_NAME], parent.get("properties", {}), n=1)
        return f"- {name}: unknown argument." + (f" Did you mean {close[0]}?" if close else "")
    if error["type"] == "missing":
        return f"- {name}: missing, expected {describe_schema(node)}."
    if error["type"] == "value_error":
        return f"- {name}: {error['ctx']['error']}."
    return f"- {name}: expected {describe_schema(node)}, got {_json_type(error['input'])}."


def _json_type(value: Any) -> str:
    """The JSON type of a value. Only small integers are shown, because a value may be a secret."""
    if value is None:
        return "null"
    if value == "":
        return "an empty string"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < LONGEST_SHOWN_INTEGER:
        return str(value)
    return JSON_TYPE_NAMES.get(type(value), "an object")


def _valid_arguments(schema: JsonSchema) -> str:
    required = schema.get("required", ())
    names = [
        f"{name} ({describe_schema(node)}{', required' if name in required else ''})"
        for name, node in schema.get("properties", {}).items()
    ]
    return f"Valid arguments: {', '.join(names) or 'none'}."
