"""The remote of the benchmark: the SDK's server over Streamable HTTP, with sessions, behind one key.

    python -m benchmarks.bridge.remote PORT

It says on stdout which port it has, and which calls begin and which are cancelled.
"""

import socket
import sys
from typing import Any

import anyio
import mcp_types
import uvicorn
from mcp.server import Server, ServerRequestContext
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

KEY = "sk-benchmark-not-a-key"
TOOL = mcp_types.Tool(name="do", description="Whatever the arguments say.", input_schema={"type": "object"})
Context = ServerRequestContext[Any, Any]


async def list_tools(_: Context, params: mcp_types.PaginatedRequestParams | None) -> mcp_types.ListToolsResult:
    """The one tool."""
    return mcp_types.ListToolsResult(tools=[TOOL])


async def call_tool(context: Context, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
    """Report `progress` times, wait `seconds`, answer with `size` characters."""
    arguments = params.arguments or {}
    if arguments.get("seconds"):
        print("begun", flush=True)
    for step in range(arguments.get("progress", 0)):
        await context.session.report_progress(step + 1, arguments["progress"], f"step {step + 1}")
    try:
        await anyio.sleep(arguments.get("seconds", 0))
    except anyio.get_cancelled_exc_class():
        print("cancelled", flush=True)
        raise
    return mcp_types.CallToolResult(content=[mcp_types.TextContent(type="text", text="x" * arguments.get("size", 1))])


class OneKey:
    """Refuses requests without the key, in the words of most endpoints."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and dict(scope["headers"]).get(b"authorization") != f"Bearer {KEY}".encode():
            return await PlainTextResponse("Unauthorized", 401)(scope, receive, send)
        return await self.app(scope, receive, send)


def main() -> None:
    """Serve until killed."""
    server: Server[Any] = Server("remote", version="1", on_list_tools=list_tools, on_call_tool=call_tool)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen(512)
    print(f"port {listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(OneKey(server.streamable_http_app()), log_config=None, access_log=False)
    anyio.run(uvicorn.Server(config).serve, [listener])


if __name__ == "__main__":
    main()
