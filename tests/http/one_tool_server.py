"""A server with one tool, whose calls a test can watch."""

from typing import Any

import anyio
import mcp_types
from mcp.server import Server, ServerRequestContext

from cyberun_mcp.http.dispatch import McpApp

Context = ServerRequestContext[Any, Any]


class Stage:
    """A server with one tool, which does what its arguments say."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.cancelled = anyio.Event()
        self.ended = anyio.Event()
        self.asgi = McpApp(Server("stage", on_list_tools=self._list, on_call_tool=self._call))

    async def _list(self, _: Context, params: mcp_types.PaginatedRequestParams | None) -> mcp_types.ListToolsResult:
        return mcp_types.ListToolsResult(tools=[])

    async def _call(self, context: Context, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
        arguments = params.arguments or {}
        for step in range(1, arguments.get("steps", 0) + 1):
            await context.session.report_progress(step, 10, f"step {step}")
        if "fail" in arguments:
            raise ValueError(arguments["fail"])
        self.begun.set()
        try:
            await anyio.sleep(arguments.get("seconds", 0))
        except anyio.get_cancelled_exc_class():
            self.cancelled.set()
            raise
        self.ended.set()
        return mcp_types.CallToolResult(content=[])
