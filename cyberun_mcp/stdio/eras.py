"""Both protocol eras on one duplex stream, decided message by message.

The SDK's own loop locks a connection to the era of its first request. Real clients probe `server/discover`, give up
after about half a second, and then send `initialize` on the same pipe (copilot-cli issue 4525, claude-code issue
96183); a locked server is dead to them. The specification allows serving both eras at once (2026-07-28, versioning).

Built from the SDK's parts; `tests/stdio/test_eras.py` holds them to their behaviour.
"""

from collections.abc import Mapping
from typing import Any

from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp import MCPError
from mcp.server import Server
from mcp_types import PROTOCOL_VERSION_META_KEY, InitializeRequestParams
from pydantic import ValidationError

from cyberun_mcp.pipes.claim import InitializeState
from cyberun_mcp.sdk_engine import (
    Connection,
    DispatchContext,
    InboundLadderRejection,
    JSONRPCDispatcher,
    NoBackChannel,
    NotifyOnlyOutbound,
    ServerRunner,
    SessionMessage,
    TransportContext,
    aclose_shielded,
    classify_inbound_request,
    modern_error_data,
    serve_one,
)

Params = Mapping[str, Any] | None
DispatchedRequest = DispatchContext[TransportContext]


async def serve_both_eras(
    server: Server[Any],
    read: ObjectReceiveStream[SessionMessage | Exception],
    write: ObjectSendStream[SessionMessage],
    initialize: InitializeState | None = None,
) -> None:
    """Serve `server` until `read` ends; its lifespan surrounds the whole of it.

    `initialize` tells of an `initialize` request on this connection that the fast start has answered.
    """
    async with server.lifespan(server) as lifespan_state:
        # `initialize` is answered before the next message is looked at, for clients that pipeline the two.
        dispatcher = JSONRPCDispatcher[TransportContext](read, write, inline_methods=frozenset({"initialize"}))
        connection = Connection.for_loop(dispatcher)
        if initialize is not None:
            _resume(connection, initialize)
        handshake_era = ServerRunner(server, connection, lifespan_state)
        notifications = NotifyOnlyOutbound(dispatcher)

        async def on_request(request: DispatchedRequest, method: str, params: Params) -> dict[str, Any]:
            if method == "initialize" or not _has_envelope(params):
                return await handshake_era.on_request(request, method, params)
            route = classify_inbound_request({"method": method, "params": params})
            if isinstance(route, InboundLadderRejection):
                raise MCPError(code=route.code, message=route.message, data=route.data)
            caller = Connection.from_envelope(
                route.protocol_version, route.client_info, route.client_capabilities, outbound=notifications
            )
            try:
                return await serve_one(
                    server,
                    _RequestOf2026(request),
                    method,
                    params,
                    connection=caller,
                    lifespan_state=lifespan_state,
                )
            except (MCPError, ValidationError):
                raise  # the dispatcher words these
            except Exception as error:
                described = modern_error_data(error)
                raise MCPError(code=described.code, message=described.message, data=described.data) from error

        try:
            await dispatcher.run(on_request, handshake_era.on_notify)
        finally:
            await aclose_shielded(connection)


def _resume(connection: Connection, initialize: InitializeState) -> None:
    """Put the connection where `initialize`, and `notifications/initialized`, would have put it."""
    connection.client_params = InitializeRequestParams.model_validate(initialize.params, by_name=False)
    connection.protocol_version = initialize.version
    if initialize.confirmed:
        connection.initialized.set()


def _has_envelope(params: Params) -> bool:
    meta = (params or {}).get("_meta")
    return isinstance(meta, Mapping) and PROTOCOL_VERSION_META_KEY in meta


class _RequestOf2026(NoBackChannel):
    """A request of the 2026 era as the SDK's engine sees it."""

    def __init__(self, request: DispatchedRequest) -> None:
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)
