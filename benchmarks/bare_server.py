"""The least a server on the SDK can be: its low-level class, one tool, stdio. The peer of `benchmarks.startup`."""

from typing import Any

import anyio
import mcp_types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server

TOOL = mcp_types.Tool(name="nothing", description="Do nothing.", input_schema={"type": "object"})
Context = ServerRequestContext[Any, Any]


async def list_tools(_: Context, params: mcp_types.PaginatedRequestParams | None) -> mcp_types.ListToolsResult:
    """The one tool."""
    return mcp_types.ListToolsResult(tools=[TOOL])


async def call_tool(_: Context, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
    """Nothing."""
    return mcp_types.CallToolResult(content=[])


async def serve() -> None:
    """Serve the client on stdin and stdout until it leaves."""
    server: Server[Any] = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(serve)
