"""One POST, one answer, in either protocol era, and nothing kept in between.

For each request of the handshake era the SDK's own endpoint makes a session to throw it away again, and an event
stream for an answer of one line: 1.0 ms a call and 107 KiB a wait (peer (a) of benchmarks/endpoint), where its kernel
takes 0.05 ms. So this endpoint asks the kernel itself, as `eras` does over stdio, and answers in plain JSON, in both
eras, where nothing is told before.

Built from the SDK's parts; `tests/http/test_dispatch.py` and the official suite hold them to their behaviour.
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
from cyberun_mcp.http.middleware.running_calls import CUT
from cyberun_mcp.http.request_parsing import caller_of, check_served, message_in, unfit
from cyberun_mcp.http.response import Reply
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

SILENCE = 15.0  # seconds between two signs of life to a client that waits; proxies cut at 60, some at 30
LARGEST_ERROR = 2_000  # characters of JSON; ours are below 500
FAREWELL = 0.5  # seconds a client that has stopped reading may take to hear that its call was cut


class Exchanges:
    """The ASGI application that answers with `server`. Whoever serves it enters the server's lifespan."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if refusal := unfit(request):
            return await refusal.response(scope)(scope, receive, send)
        reply = Reply(send)
        try:
            message = message_in(await request.body())
            if isinstance(message, JSONRPCNotification):
                # Nothing outlives a request here, so there is nothing that could be notified.
                check_served(request.headers)
                return await Response(status_code=202)(scope, receive, send)
            reply.request_id = message.id
            caller = caller_of(message, request)
        except MCPError as rejection:
            return await reply.end(_failed(rejection.error), _status(rejection.error))
        except ClientDisconnect:
            return None
        return await self._answer(message, caller, request, reply)

    async def _answer(self, call: JSONRPCRequest, caller: Connection, request: Request, reply: Reply) -> None:
        answer = None
        try:
            with anyio.CancelScope() as running:
                # Not in a task group, which would take a tenth of the time of a call, and 2 KiB of each wait.
                attendant = asyncio.create_task(_attend(request, reply, running))
                try:
                    answer = await self._outcome(call, caller, request, reply)
                finally:
                    attendant.cancel()
        except anyio.get_cancelled_exc_class():
            # Cut at the end of the drain. An answer that is there, perhaps the id of a paid task, still goes out.
            if answer is None and reply.streams:
                answer = _failed(ErrorData(code=CUT.status, message=CUT.message)), CUT.status
            if answer is not None:
                with anyio.move_on_after(FAREWELL, shield=True):
                    await reply.end(*answer)
            raise
        if answer is not None:  # else the client has gone
            await reply.end(*answer)

    async def _outcome(
        self, call: JSONRPCRequest, caller: Connection, request: Request, reply: Reply
    ) -> tuple[dict[str, Any], int]:
        """The result or the error, and the HTTP status that goes with it."""
        dispatched = _Dispatched(
            TransportContext(kind="streamable-http", can_send_request=False, headers=request.headers),
            call.id,
            ServerMessageMetadata(request_context=request),
            progress_token_from_params(call.params),
            reply,
        )
        try:
            result = await serve_one(
                self._server, dispatched, call.method, call.params, connection=caller, lifespan_state=None
            )
        except Exception as failure:
            error = modern_error_data(failure)  # logs what nobody foresaw, and keeps it from the client
            handshake_era = caller.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS
            return _failed(error), 200 if handshake_era else _status(error)
        return {"result": result}, 200


@dataclass(slots=True)
class _Dispatched(NoBackChannel):
    """One request as the SDK's kernel sees it: the client can be told something, but not asked."""

    transport: TransportContext
    request_id: RequestId
    message_metadata: ServerMessageMetadata
    progress_token: ProgressToken | None
    reply: Reply

    @property
    def cancel_requested(self) -> anyio.Event:
        """Never set: over HTTP a client cancels by hanging up, which cancels the call itself."""
        return anyio.Event()

    async def notify(self, method: str, params: Mapping[str, Any] | None, *_: Any) -> None:
        await self.reply.tell(method, params)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self.progress_token is None:
            return
        told = {"progressToken": self.progress_token, "progress": progress, "total": total, "message": message}
        await self.notify("notifications/progress", {name: value for name, value in told.items() if value is not None})


async def _attend(request: Request, reply: Reply, call: anyio.CancelScope) -> None:
    """End the call when its client has gone, and until then let the client know that somebody is there."""
    while True:
        with anyio.move_on_after(SILENCE):
            if (await request.receive())["type"] == "http.disconnect":
                return call.cancel()
            continue
        await reply.breathe()


def _failed(error: ErrorData) -> dict[str, Any]:
    """The error as the client gets it. The SDK's errors repeat what was sent, such as the name of a method."""
    described = error.model_dump(mode="json", by_alias=True, exclude_none=True)
    if len(json.dumps(described)) > LARGEST_ERROR:
        described = {"code": error.code, "message": shortened(error.message, LARGEST_ERROR)}
    return {"error": described}


def _status(error: ErrorData) -> int:
    return ERROR_CODE_HTTP_STATUS.get(error.code, 200)
