"""Any JSON as arguments: every call gets a result, and arguments that the schema rejects cause no request."""

import json
from typing import Any

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp_types import CallToolResult, TextContent

from cyberun_mcp.tools import TOOLS
from cyberun_mcp.tools.registry import Tool
from tests.fake_platform import FakePlatform, connected
from tests.properties.json_values import OBJECTS, SCALARS, VALUES

PLAUSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "string": st.sampled_from(["text-to-image", "019abc12", "/v1/models", "aGk=", "a@2"]) | st.text(max_size=210),
    "integer": st.integers(-5, 4000),
    "object": OBJECTS | OBJECTS.map(lambda value: json.dumps(value, allow_nan=True)),
}


def plausible(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that almost match a schema, so that not all examples fail at the first argument."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | SCALARS
    if "properties" in schema:
        members = {name: plausible(node) | VALUES for name, node in schema["properties"].items()}
        near = st.fixed_dictionaries({}, optional=members)
        return near | near.map(lambda value: json.dumps(value, allow_nan=True)) | VALUES
    return PLAUSIBLE[schema["type"]] | VALUES


def arguments_for(tool: Tool) -> st.SearchStrategy[dict[str, Any]]:
    members = tool.listing.input_schema.get("properties", {})
    near = st.fixed_dictionaries({}, optional={name: plausible(node) for name, node in members.items()})
    return near | st.builds(lambda one, other: one | other, near, OBJECTS) | OBJECTS


async def call(tool: str, arguments: dict[str, Any]) -> tuple[CallToolResult, FakePlatform]:
    platform = FakePlatform()
    async with connected(platform, "auto", call_timeout=1.0) as client:
        return await client.call_tool(tool, arguments), platform


def objects_parse(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with JSON strings parsed where the schema wants an object, as some models send them."""
    schema = tool.listing.input_schema.get("properties", {})
    return {
        name: _parse(value) if schema.get(name, {}).get("type") == "object" and isinstance(value, str) else value
        for name, value in arguments.items()
    }


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_any_arguments_get_a_result_and_invalid_ones_send_nothing(tool: Tool) -> None:
    is_valid = Draft202012Validator(tool.listing.input_schema).is_valid

    @settings(deadline=None, max_examples=60)
    @given(arguments_for(tool))
    @example({})
    @example({"task_id": "\ud800", "workflow_slug": "\ud800", "service_slug": "\ud800", "workflow_id": "\ud800"})
    @example({"body": '{"parameters": {"\\ud800": "\\ud800"}}', "workflow_slug": "a", "workflow_id": "a"})
    @example({"body": "[" * 100_000, "workflow_slug": "a", "workflow_id": "a"})
    @example({"current_page": 10**400, "per_page": -(10**400), "timeout_seconds": 10**5000, "task_id": "a"})
    @example({"service_slug": "a", "method": "GET", "path": "/\ud800", "headers": {"X": "\ud800"}})
    @example({"service_slug": "a", "method": "GET", "path": "/a\r\nHost: b", "body_base64": "\ud800"})
    def holds(arguments: dict[str, Any]) -> None:
        result, platform = anyio.run(call, tool.name, arguments)
        [text, *_] = result.content
        assert isinstance(text, TextContent)
        assert not text.text.startswith("Internal error")
        text.text.encode()
        if not is_valid(objects_parse(tool, arguments)):
            assert result.is_error
            assert platform.requests == []

    holds()
