"""A remote that runs the SDK's server: `python sdk_remote.py PORT stateless|stateful`.

It prints its port, and the tag of each call that begins or is cancelled.
"""

import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import mcp_types
import uvicorn
from mcp.server import Server, ServerRequestContext

Context = ServerRequestContext[Any, Any]
ANNOTATIONS = mcp_types.ToolAnnotations(title="Do it", read_only_hint=True, open_world_hint=False)
TOOL = mcp_types.Tool(
    name="do",
    description="Whatever the arguments say.",
    input_schema={"type": "object"},
    annotations=ANNOTATIONS,
    _meta={"example.com/kept": [1, 2]},
)


async def list_tools(_: Context, params: mcp_types.PaginatedRequestParams | None) -> mcp_types.ListToolsResult:
    return mcp_types.ListToolsResult(tools=[TOOL])


async def call_tool(context: Context, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
    """Report progress `progress` times, wait `seconds` or for the file `until`, return `size` characters."""
    arguments = params.arguments or {}
    tag = arguments.get("tag", "")
    log(f"begun {tag}")
    for step in range(arguments.get("progress", 0)):
        await context.session.report_progress(step + 1, arguments["progress"], f"step {step + 1}")
    try:
        await anyio.sleep(arguments.get("seconds", 0))
        while not Path(arguments.get("until", "/")).exists():  # noqa: ASYNC110, ASYNC240 - another process creates it
            await anyio.sleep(0.01)
    except anyio.get_cancelled_exc_class():
        log(f"cancelled {tag}")
        raise
    text = mcp_types.TextContent(type="text", text=tag or "x" * arguments.get("size", 1))
    return mcp_types.CallToolResult(content=[text], _meta={"example.com/tag": tag})


def log(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    server: Server[Any] = Server(
        "remote",
        version="9.8.7",
        title="The Remote",
        instructions="Be kind.",
        get_tool_input_schema=lambda _: TOOL.input_schema,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    app = server.streamable_http_app(stateless_http=sys.argv[2] == "stateless")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen(512)
    log(f"port {listener.getsockname()[1]}")
    anyio.run(uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).serve, [listener])


if __name__ == "__main__":
    main()
