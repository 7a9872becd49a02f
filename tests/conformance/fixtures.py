"""The tools the suite calls, mounted beside our own fifteen; the suite's own description says what each answers."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server

from cyberun_mcp.server import Context, build_server

# One red pixel, and an eighth of a millisecond of silence.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
WAV = base64.b64decode("UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA==")

Answering = Callable[[Context], Awaitable[types.CallToolResult]]


def text(words: str) -> types.TextContent:
    """A text block."""
    return types.TextContent(type="text", text=words)


def image() -> types.ImageContent:
    """An image block."""
    return types.ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")


def embedded(uri: str, mime_type: str, words: str) -> types.EmbeddedResource:
    """A block with a resource in it."""
    contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=words)
    return types.EmbeddedResource(type="resource", resource=contents)


def always(*content: types.ContentBlock, is_error: bool = False) -> Answering:
    """A tool with one answer."""

    async def answer(_: Context) -> types.CallToolResult:
        return types.CallToolResult(content=list(content), is_error=is_error)

    return answer


async def with_progress(context: Context) -> types.CallToolResult:
    """A tool that reports three times."""
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100, f"{done} of 100")
        await anyio.sleep(0.05)
    return types.CallToolResult(content=[text("It is done.")])


NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
VOCABULARY: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

TOOLS: dict[str, tuple[str, dict[str, Any], Answering]] = {
    "test_simple_text": ("One text.", NOTHING, always(text("This is a simple text response for testing."))),
    "test_image_content": ("One image.", NOTHING, always(image())),
    "test_audio_content": (
        "One sound.",
        NOTHING,
        always(types.AudioContent(type="audio", data=base64.b64encode(WAV).decode(), mime_type="audio/wav")),
    ),
    "test_embedded_resource": (
        "One resource.",
        NOTHING,
        always(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")),
    ),
    "test_multiple_content_types": (
        "A text, an image and a resource.",
        NOTHING,
        always(
            text("Multiple content types test:"),
            image(),
            embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ),
    ),
    "test_tool_with_progress": ("Three reports of progress.", NOTHING, with_progress),
    "test_error_handling": (
        "Always an error.",
        NOTHING,
        always(text("This tool intentionally returns an error for testing"), is_error=True),
    ),
    "json_schema_2020_12_tool": ("A schema with every keyword.", VOCABULARY, always(text("It is well formed."))),
}


def build_server_with_fixtures(*arguments: Any, **options: Any) -> Server[Any]:
    """Our server, to which the suite's tools are added: its own list and calls come first."""
    server = build_server(*arguments, **options)
    ours_listed = server.get_request_handler("tools/list")
    ours_called = server.get_request_handler("tools/call")
    assert ours_listed is not None
    assert ours_called is not None

    async def list_tools(context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        listed = await ours_listed.handler(context, params)
        assert isinstance(listed, types.ListToolsResult)
        added = [
            types.Tool(name=name, description=description, input_schema=schema)
            for name, (description, schema, _) in TOOLS.items()
        ]
        return types.ListToolsResult(tools=[*listed.tools, *added])

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> Any:
        if params.name in TOOLS:
            return await TOOLS[params.name][2](context)
        return await ours_called.handler(context, params)

    server.add_request_handler("tools/list", types.PaginatedRequestParams, list_tools)
    server.add_request_handler("tools/call", types.CallToolRequestParams, call_tool)
    return server
