"""Two services with real troubles, for the gateway codes 502 and 503."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@asynccontextmanager
async def hanging_up(listening: socket.socket) -> AsyncIterator[None]:
    """Serve a health check, and hang up on everything else."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request_line = await reader.readline()
        if request_line.startswith(b"GET /health "):
            writer.write(_HEALTHY)
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, sock=listening)
    try:
        yield
    finally:
        # Not waiting for it: from Python 3.12 on that would wait for whoever has connected and says nothing.
        server.close()


async def _sick(_request: Request) -> Response:
    return PlainTextResponse("still starting, and always will be", status_code=503)


unhealthy_app = Starlette(routes=[Route("/{path:path}", _sick)])
