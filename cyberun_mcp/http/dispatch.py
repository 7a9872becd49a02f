"""`McpApp`: one POST in, one response out, in either protocol era, with no state in between.

For each request of the handshake era, the SDK's own endpoint creates and discards a session, and opens an event stream
for a response of one line: 1.0 ms a call and 107 KiB a wait (peer (a) of benchmarks/endpoint). Its engine alone takes
0.05 ms. So this app calls the engine directly, as `stdio.eras` does, and responds in plain JSON in both eras unless a
notification is sent before the result.

`tests/http/test_dispatch.py` and the official conformance suite hold this use of the SDK's parts to its behavior.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from mcp import MCPError
from mcp.server import Server
from mcp_types import ErrorData, JSONRPCNotification, JSONRPCRequest, ProgressToken, RequestId
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cyberun_mcp.errors import shortened
from cyberun_mcp.http.middleware.drain import CUT_OFF
from cyberun_mcp.http.request_parsing import check_notification_version, connection_for, parse_message, reject_headers
from cyberun_mcp.http.response import ResponseWriter
from cyberun_mcp.sdk_engine import (
    ERROR_CODE_HTTP_STATUS,
    Connection,
    NoBackChannel,
    ServerMessageMetadata,
    TransportContext,
    modern_error_data,
    progress_token_from_params,
    serve_one,
)

KEEP_ALIVE_SECONDS = 15.0  # between two comments to a waiting client; proxies close idle streams after 60 s, some 30
LARGEST_ERROR = 2_000  # characters of JSON; our own errors have less than 500
LAST_MESSAGE_SECONDS = 0.5  # to send the last message of a call that was cut off, if its client has stopped reading


class McpApp:
    """The ASGI app that answers MCP requests with `server`. Its caller enters the server's lifespan."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if rejection := reject_headers(request):
            return await rejection.response(scope)(scope, receive, send)
        response = ResponseWriter(send)
        try:
            message = parse_message(await request.body())
            if isinstance(message, JSONRPCNotification):
                # Nothing outlives a request here, so there is nothing the notification could be about.
                check_notification_version(request.headers)
                return await Response(status_code=202)(scope, receive, send)
            response.request_id = message.id
            connection = connection_for(message, request)
        except MCPError as error:
            return await response.finish(_error(error.error), _http_status(error.error))
        except ClientDisconnect:
            return None
        return await self._respond(message, connection, request, response)

    async def _respond(
        self, message: JSONRPCRequest, connection: Connection, request: Request, response: ResponseWriter
    ) -> None:
        outcome = None
        try:
            with anyio.CancelScope() as call:
                # Not in a task group, which would take a tenth of the time of a call, and 2 KiB of each wait.
                watcher = asyncio.create_task(_watch_client(request, response, call))
                try:
                    outcome = await self._outcome(message, connection, request, response)
                finally:
                    watcher.cancel()
        except anyio.get_cancelled_exc_class():
            # Cut off at the end of the drain. If the result is there, which may name a paid task, still send it.
            if outcome is None and response.streaming:
                outcome = _error(ErrorData(code=CUT_OFF.status, message=CUT_OFF.message)), CUT_OFF.status
            if outcome is not None:
                with anyio.move_on_after(LAST_MESSAGE_SECONDS, shield=True):
                    await response.finish(*outcome)
            raise
        if outcome is not None:  # otherwise the client has disconnected
            await response.finish(*outcome)

    async def _outcome(
        self, message: JSONRPCRequest, connection: Connection, request: Request, response: ResponseWriter
    ) -> tuple[dict[str, Any], int]:
        """The result or the error of a request, with its HTTP status."""
        context = _HttpRequestContext(
            TransportContext(kind="streamable-http", can_send_request=False, headers=request.headers),
            message.id,
            ServerMessageMetadata(request_context=request),
            progress_token_from_params(message.params),
            response,
        )
        try:
            result = await serve_one(
                self._server, context, message.method, message.params, connection=connection, lifespan_state=None
            )
        except Exception as exception:
            error = modern_error_data(exception)  # logs unexpected exceptions, and hides them from the client
            handshake_era = connection.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS
            return _error(error), 200 if handshake_era else _http_status(error)
        return {"result": result}, 200


@dataclass(slots=True)
class _HttpRequestContext(NoBackChannel):
    """One request as the SDK's engine sees it: the server can notify the client, but not send it requests."""

    transport: TransportContext
    request_id: RequestId
    message_metadata: ServerMessageMetadata
    progress_token: ProgressToken | None
    response: ResponseWriter

    @property
    def cancel_requested(self) -> anyio.Event:
        """Never set: over HTTP a client cancels by disconnecting, which cancels the call itself."""
        return anyio.Event()

    async def notify(self, method: str, params: Mapping[str, Any] | None, *_: Any) -> None:
        await self.response.notify(method, params)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self.progress_token is None:
            return
        params = {"progressToken": self.progress_token, "progress": progress, "total": total, "message": message}
        await self.notify(
            "notifications/progress", {name: value for name, value in params.items() if value is not None}
        )


async def _watch_client(request: Request, response: ResponseWriter, call: anyio.CancelScope) -> None:
    """Cancel the call when its client disconnects; until then, keep the connection alive."""
    while True:
        with anyio.move_on_after(KEEP_ALIVE_SECONDS):
            if (await request.receive())["type"] == "http.disconnect":
                return call.cancel()
            continue
        await response.keep_alive()


def _error(error: ErrorData) -> dict[str, Any]:
    """The error for the client, bounded in size: the SDK's errors repeat what was sent, such as a method's name."""
    fields = error.model_dump(mode="json", by_alias=True, exclude_none=True)
    if len(json.dumps(fields)) > LARGEST_ERROR:
        fields = {"code": error.code, "message": shortened(error.message, LARGEST_ERROR)}
    return {"error": fields}


def _http_status(error: ErrorData) -> int:
    return ERROR_CODE_HTTP_STATUS.get(error.code, 200)
