"""From what a model wrote to a tool's arguments, or to words that let it repair the call."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from cyberun_mcp.errors import InvalidArguments, shortened
from cyberun_mcp.tools.schema import JsonSchema, in_words, input_schema

# What names the mistakes in a call is bounded, in size and in work: 3.8 MB with thousands of unknown arguments made an
# answer of 9.8 MB and took 3 s.
MOST_PROBLEMS = 10  # named; the others are counted
MOST_MEMBERS = 100  # of an object whose members are checked; the tools know at most 5, and headers are seldom more
LONGEST_NAME = 100  # characters; the tools' own names have at most 24
LONGEST_PROBLEM = 300  # characters
LONGEST_SHOWN_INTEGER = 10**15  # and beyond 4,300 digits Python would refuse to show it
_SEGMENT = re.compile(r"[^\s/\\?#%\x00-\x1f\x7f]+")
JSON_TYPE_NAMES = {str: "a string", bool: "a boolean", int: "an integer", float: "a number", list: "an array"}


def _parsed_if_text(value: Any) -> Any:
    """Several models send an object as the JSON string of it; what does not parse is left to be refused."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    if isinstance(value, dict) and len(value) > MOST_MEMBERS:
        raise ValueError(f"expected an object of at most {MOST_MEMBERS} members, got {len(value):,}")
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
    """The validated arguments by name. Raises InvalidArguments naming ten wrong ones and all the valid ones."""
    known = model.model_fields
    unknown = [name for name in given if name not in known]
    looked_at = [*(name for name in known if name in given), *unknown[:MOST_PROBLEMS]]
    try:
        parsed = model.model_validate({name: given[name] for name in looked_at})
    except ValidationError as error:
        schema = input_schema(model)
        errors = error.errors(include_url=False)
        problems = [shortened(_problem(schema, each), LONGEST_PROBLEM) for each in errors[:MOST_PROBLEMS]]
        more = len(errors) + len(unknown[MOST_PROBLEMS:]) - len(problems)
        lines = [
            f"Invalid arguments for {tool}; nothing was sent.",
            *problems,
            *([f"- and {more:,} more."] if more else []),
            _valid(schema),
        ]
        raise InvalidArguments("\n".join(lines)) from error
    return {name: getattr(parsed, name) for name in known}


def _problem(schema: JsonSchema, error: ErrorDetails) -> str:
    path = [part for part in error["loc"] if isinstance(part, str)]
    name = ".".join(shortened(str(part), LONGEST_NAME) for part in error["loc"])
    parent, node = schema, schema
    for part in path:
        parent, node = node, node.get("properties", {}).get(part, {})
    if error["type"] == "extra_forbidden":
        from difflib import get_close_matches  # 1.5 ms that no start has to pay

        close = get_close_matches(path[-1][:LONGEST_NAME], parent.get("properties", {}), n=1)
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
