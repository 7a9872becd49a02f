"""The MCP server: the SDK's low-level `Server` with the fifteen tools attached."""

import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types
from mcp import MCPError
from mcp.server import CacheHint, Server, ServerRequestContext

from cyberun_mcp import __version__
from cyberun_mcp.errors import CyberunError, explain, shortened
from cyberun_mcp.instructions import INSTRUCTIONS
from cyberun_mcp.observability.telemetry import NO_TELEMETRY, Telemetry
from cyberun_mcp.sdk_engine import remove_span_middleware
from cyberun_mcp.settings import Settings
from cyberun_mcp.tools import TOOLS
from cyberun_mcp.tools.arguments import LONGEST_NAME, parse_arguments
from cyberun_mcp.tools.client_timeouts import default_wait
from cyberun_mcp.tools.in_flight_calls import CallInFlight, CallsInFlight
from cyberun_mcp.tools.registry import ReportProgress, Tool, ToolCall, ToolResult
from cyberun_mcp.tools.results import compact_json, conform_to_schema

if TYPE_CHECKING:
    import httpx2

    from cyberun_mcp.api.client import Platform
    from cyberun_mcp.api.credentials import Credential
    from cyberun_mcp.api.throttle import Throttle

logger = logging.getLogger(__name__)

NAME = "cyberun-cloud"
TITLE = "Cyberun Cloud"

Context = ServerRequestContext[Any, Any]
CredentialOf = Callable[[Context], "Credential"]

_TOOLS_BY_NAME = {tool.name: tool for tool in TOOLS}
_PUBLIC_HOUR = CacheHint(ttl_ms=3_600_000, scope="public")  # the list depends on our version, not on the caller


def build_server(
    settings: Settings,
    credential_of: CredentialOf,
    transport: "httpx2.AsyncBaseTransport | None" = None,
    telemetry: Telemetry = NO_TELEMETRY,
    throttle: "Throttle | None" = None,
    in_flight: CallsInFlight | None = None,
) -> Server[Any]:
    """The server. `credential_of` returns the key of a request; it may raise ConfigurationError.

    `transport` replaces the network in tests. `throttle` slows down the waits of a busy process. `in_flight` registers
    the running calls, for the code that shuts the process down.
    """
    handler = _ToolCallHandler(settings, credential_of, transport, telemetry, throttle, in_flight or CallsInFlight())
    server: Server[Any] = Server(
        NAME,
        version=__version__,
        title=TITLE,
        instructions=INSTRUCTIONS,
        lifespan=handler.lifespan,
        cache_hints={"tools/list": _PUBLIC_HOUR, "server/discover": _PUBLIC_HOUR},
        on_list_tools=_list_tools,
        on_call_tool=handler.call_tool,
    )
    if not telemetry.traces:
        remove_span_middleware(server)
    return server


async def _list_tools(_: Context, params: mcp_types.PaginatedRequestParams | None) -> mcp_types.ListToolsResult:
    if params is not None and params.cursor is not None:
        raise MCPError(mcp_types.INVALID_PARAMS, "Unknown cursor: the list of tools has one page")
    return mcp_types.ListToolsResult(tools=[tool.listing for tool in TOOLS])


class _ToolCallHandler:
    """Answers `tools/call`. Its only state is the connections to the platform, created at the first call."""

    def __init__(
        self,
        settings: Settings,
        credential_of: CredentialOf,
        transport: "httpx2.AsyncBaseTransport | None",
        telemetry: Telemetry,
        throttle: "Throttle | None",
        in_flight: CallsInFlight,
    ) -> None:
        self._settings = settings
        self._throttle = throttle
        self._credential_of = credential_of
        self._transport = transport
        self._telemetry = telemetry
        self._in_flight = in_flight
        self._platform: Platform | None = None

    @asynccontextmanager
    async def lifespan(self, _: Server[Any]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if self._platform is not None:
                with anyio.CancelScope(shield=True):
                    await self._platform.aclose()

    async def call_tool(self, context: Context, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
        tool = _TOOLS_BY_NAME.get(params.name)
        if tool is None:
            raise MCPError(mcp_types.INVALID_PARAMS, f"Unknown tool: {shortened(params.name, LONGEST_NAME)}")
        began, outcome = time.perf_counter(), "cancelled"
        self._telemetry.call_started(tool.name)
        try:
            with self._in_flight.call() as call:
                result = await self._run(tool, context, params.arguments or {}, call)
                outcome = "error" if result.is_error else "ok"
                return result
            # The call was canceled during shutdown. This is the SDK's own message at the end of input.
            raise MCPError(mcp_types.CONNECTION_CLOSED, "Connection closed")
        finally:
            seconds = time.perf_counter() - began
            self._telemetry.call_ended(tool.name, outcome, seconds)
            fields = {"tool": tool.name, "outcome": outcome, "ms": round(seconds * 1000), "request": context.request_id}
            logger.info("tool=%(tool)s outcome=%(outcome)s ms=%(ms)d request=%(request)s", fields, extra=fields)

    async def _run(
        self, tool: Tool, context: Context, arguments: dict[str, Any], in_flight: CallInFlight
    ) -> mcp_types.CallToolResult:
        try:
            parsed = parse_arguments(tool.name, tool.arguments, arguments)
            return _success(tool, await tool.run(self._tool_call(context, in_flight), **parsed))
        except CyberunError as error:
            return _failure(explain(error, tool.error_hints))
        except Exception:
            reference = secrets.token_hex(4)
            logger.exception("tool=%s reference=%s failed unexpectedly", tool.name, reference)
            return _failure(f"Internal error in {tool.name}, reference {reference}: see the log of this MCP server.")

    def _tool_call(self, context: Context, in_flight: CallInFlight) -> ToolCall:
        if self._platform is None:
            from cyberun_mcp.api.client import Platform

            self._platform = Platform(self._settings, self._transport, self._telemetry, self._throttle)
        deadline = anyio.current_time() + self._settings.call_timeout
        api = self._platform.client_for(self._credential_of(context), deadline)
        return ToolCall(
            api,
            report_progress=self._progress_reporter(context),
            default_wait=default_wait(_client_name(context)),
            in_flight=in_flight,
        )

    def _progress_reporter(self, context: Context) -> ReportProgress:
        report = context.session.report_progress
        if "progress_token" not in (context.meta or {}):
            return report

        async def counted(progress: float, total: float | None, message: str | None) -> None:
            await report(progress, total, message)
            self._telemetry.progress_sent()

        return counted


def _client_name(context: Context) -> str | None:
    client = context.session.client_params
    return client.client_info.name if client else None


def _success(tool: Tool, result: ToolResult) -> mcp_types.CallToolResult:
    structured = conform_to_schema(result.structured, tool.result)
    links = [
        mcp_types.ResourceLink(
            type="resource_link", uri=link.uri, name=link.name, mime_type=link.mime_type, description=link.description
        )
        for link in result.links
    ]
    text = mcp_types.TextContent(type="text", text=compact_json(result.in_text or structured))
    return mcp_types.CallToolResult(content=[text, *links], structured_content=structured)


def _failure(text: str) -> mcp_types.CallToolResult:
    # No structured content: it would not match the output schema, and clients that validate it would hide the error.
    return mcp_types.CallToolResult(content=[mcp_types.TextContent(type="text", text=text)], is_error=True)
