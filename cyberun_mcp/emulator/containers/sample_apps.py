"""The HTTP servers behind three of the services: one that echoes requests, and two with defects."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_HEALTHY_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def _report_healthy(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def _echo(request: Request) -> Response:
    return JSONResponse(await _request_as_json(request))


async def _echo_with_status(request: Request) -> Response:
    return JSONResponse(await _request_as_json(request), status_code=request.path_params["code"])


async def _request_as_json(request: Request) -> dict[str, Any]:
    body = await request.body()
    fields: dict[str, Any] = {
        "method": request.method,
        "path": request.scope["raw_path"].decode("ascii"),
        "query": request.scope["query_string"].decode("ascii"),
        "headers": dict(request.headers),
    }
    try:
        fields["body"] = body.decode()
    except UnicodeDecodeError:
        fields["body_base64"] = base64.b64encode(body).decode()
    return fields


echo_app = Starlette(
    routes=[
        Route("/health", _report_healthy),
        Route("/status/{code:int}", _echo_with_status, methods=_ANY_METHOD),
        Route("/{path:path}", _echo, methods=_ANY_METHOD),
    ]
)


async def _report_unhealthy(_request: Request) -> Response:
    return PlainTextResponse("still starting, and always will be", status_code=503)


unhealthy_app = Starlette(routes=[Route("/{path:path}", _report_unhealthy)])


@asynccontextmanager
async def serve_hanging_up(listening: socket.socket) -> AsyncIterator[None]:
    """Answer health checks, and close every other connection without a response."""

    async def handle_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request_line = await reader.readline()
        if request_line.startswith(b"GET /health "):
            writer.write(_HEALTHY_RESPONSE)
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(handle_connection, sock=listening)
    try:
        yield
    finally:
        # Not followed by wait_closed(): from Python 3.12 on it would also wait for connections that send nothing.
        server.close()
