"""The least a server on the SDK can be: its low-level class, two tools, stdio. The peer our server is measured against.

With `--our-transport`, the same server over our transport instead of the SDK's. Any tool but the two answers with the
JSON file that BENCHMARK_ANSWER names, as ours answers when the platform has sent it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import mcp_types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server

NOTHING = mcp_types.Tool(name="nothing", description="Do nothing.", input_schema={"type": "object"})
COUNT = mcp_types.Tool(name="count", description="Report progress so many times.", input_schema={"type": "object"})
Context = ServerRequestContext[Any, Any]
ANSWER = json.loads(Path(os.environ["BENCHMARK_ANSWER"]).read_bytes()) if "BENCHMARK_ANSWER" in os.environ else {}
TEXT = json.dumps(ANSWER, separators=(",", ":"))


async def list_tools(_: Context, params: mcp_types.PaginatedRequestParams | None) -> mcp_types.ListToolsResult:
    """Both tools."""
    return mcp_types.ListToolsResult(tools=[NOTHING, COUNT])


async def call_tool(context: Context, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
    """Nothing, progress up to `to`, or the answer."""
    if params.name not in (NOTHING.name, COUNT.name):
        text = mcp_types.TextContent(type="text", text=TEXT)
        return mcp_types.CallToolResult(content=[text], structured_content=ANSWER)
    for number in range((params.arguments or {}).get("to", 0)):
        await context.session.report_progress(number, None, "counting")
    return mcp_types.CallToolResult(content=[])


async def serve() -> None:
    """Serve the client on stdin and stdout until it leaves."""
    server: Server[Any] = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    if "--our-transport" in sys.argv:
        from cyberun_mcp.stdio.serve import serve_stdio

        await serve_stdio(server)
    else:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(serve)
