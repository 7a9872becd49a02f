"""One request through the SDK's kernel, which is freed as soon as the request is answered."""

from collections.abc import Mapping
from typing import Any

from mcp.server import Server
from mcp.server.connection import Connection
from mcp.server.runner import ServerRunner, aclose_shielded
from mcp.shared.dispatcher import DispatchContext
from mcp.shared.transport_context import TransportContext


async def serve_one(
    server: Server[Any],
    request: DispatchContext[TransportContext],
    method: str,
    params: Mapping[str, Any] | None,
    *,
    connection: Connection,
    lifespan_state: Any,
) -> dict[str, Any]:
    """Does what the SDK's function of this name does, and leaves no reference cycle behind.

    The SDK's runner caches `on_request`, its own bound method, in itself (mcp 2.3). So the runner, its connection and
    about ten more objects of every request stayed in memory until a garbage collection found them.
    """
    runner = ServerRunner(server, connection, lifespan_state)
    try:
        return await runner.on_request(request, method, params)
    finally:
        vars(runner).pop("on_request", None)
        await aclose_shielded(connection)
