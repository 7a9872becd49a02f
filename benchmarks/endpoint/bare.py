"""Peer (a): the least an HTTP server on the SDK can be. One tool does nothing; one makes up a notification a second.

python -m benchmarks.endpoint.bare PORT
"""

import sys
import time
from typing import Any

import anyio
import mcp_types
import uvicorn
from mcp.server import Server, ServerRequestContext

Context = ServerRequestContext[Any, Any]
_ANYTHING = {"type": "object"}
_TOOLS = [mcp_types.Tool(name=name, description=name, input_schema=_ANYTHING) for name in ("nothing", "wait")]


async def list_tools(_: Context, params: mcp_types.PaginatedRequestParams | None) -> mcp_types.ListToolsResult:
    """The two tools."""
    return mcp_types.ListToolsResult(tools=_TOOLS)


async def call_tool(context: Context, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
    """Nothing, or a wait of so many seconds."""
    seconds = int((params.arguments or {}).get("seconds", 0))
    for step in range(1, seconds + 1):
        await context.session.report_progress(step / seconds, 1.0, f"t={time.time_ns()}")
        await anyio.sleep(1)
    return mcp_types.CallToolResult(content=[], structured_content={"task_status": "completed"})


if __name__ == "__main__":
    server: Server[Any] = Server(
        "bare", on_list_tools=list_tools, on_call_tool=call_tool, get_tool_input_schema=lambda _: _ANYTHING
    )
    app = server.streamable_http_app(stateless_http=True)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False, backlog=4096)
