"""Every import of the SDK's engine: the modules below `mcp.server.Server` that both transports are built on.

The engine answers a request several times faster than the SDK's own transports, but the SDK does not promise to keep
it. So `pyproject.toml` binds `mcp` below its next minor release, and all that depends on the engine is found here:
`tests/test_sdk_engine.py` holds every other module to importing it from here.
"""

from collections.abc import Mapping
from typing import Any

from mcp.server import Server
from mcp.server.connection import Connection, NotifyOnlyOutbound
from mcp.server.runner import ServerRunner, aclose_shielded, modern_error_data
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.dispatcher import DispatchContext, ProgressFnT, coerce_request_id
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    find_duplicated_routing_header,
    unsupported_protocol_version_rejection,
)
from mcp.shared.jsonrpc_dispatcher import (
    JSONRPCDispatcher,
    cancelled_request_id_from_params,
    progress_token_from_params,
)
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp.shared.transport_context import TransportContext

__all__ = [
    "ERROR_CODE_HTTP_STATUS",
    "MCP_PROTOCOL_VERSION_HEADER",
    "Connection",
    "DispatchContext",
    "InboundLadderRejection",
    "JSONRPCDispatcher",
    "NoBackChannel",
    "NotifyOnlyOutbound",
    "ProgressFnT",
    "ServerMessageMetadata",
    "ServerRunner",
    "SessionMessage",
    "TransportContext",
    "aclose_shielded",
    "cancelled_request_id_from_params",
    "check_accept_headers",
    "classify_inbound_request",
    "coerce_request_id",
    "find_duplicated_routing_header",
    "modern_error_data",
    "progress_token_from_params",
    "remove_span_middleware",
    "serve_one",
    "unsupported_protocol_version_rejection",
]


class NoBackChannel:
    """A request during which the server may notify the client, but not ask it anything.

    The 2026-07-28 protocol has no requests from the server, and a stateless endpoint could not receive the answers.
    """

    __slots__ = ()
    can_send_request = False

    async def send_raw_request(self, method: str, *_: Any, **__: Any) -> dict[str, Any]:
        """Raise NoBackChannelError, which the SDK turns into an error of the tool that asked."""
        raise NoBackChannelError(method)


async def serve_one(
    server: Server[Any],
    request: DispatchContext[TransportContext],
    method: str,
    params: Mapping[str, Any] | None,
    *,
    connection: Connection,
    lifespan_state: Any,
) -> dict[str, Any]:
    """Do what the SDK's function of this name does, and leave no reference cycle behind.

    The SDK's runner caches `on_request`, its own bound method, in itself (mcp 2.3). So the runner, its connection and
    about ten more objects of every request stayed in memory until a garbage collection found them.
    """
    runner = ServerRunner(server, connection, lifespan_state)
    try:
        return await runner.on_request(request, method, params)
    finally:
        vars(runner).pop("on_request", None)
        await aclose_shielded(connection)


def remove_span_middleware(server: Server[Any]) -> None:
    """Remove the SDK's OpenTelemetry spans from a new server, and nothing else.

    They take 13 µs of each call, even when no exporter is configured. Raises LookupError if they are not there.
    """
    # By name, because its module, `mcp.server._otel`, is private.
    for middleware in server.middleware:
        if type(middleware).__name__ == "OpenTelemetryMiddleware":
            server.middleware.remove(middleware)
            return
    raise LookupError("this version of mcp does not install OpenTelemetryMiddleware")
