"""The `echo` service: answers with the request it got."""

import base64
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def _echo(request: Request) -> Response:
    return JSONResponse(await _told(request))


async def _status(request: Request) -> Response:
    return JSONResponse(await _told(request), status_code=request.path_params["code"])


async def _told(request: Request) -> dict[str, Any]:
    body = await request.body()
    told: dict[str, Any] = {
        "method": request.method,
        "path": request.scope["raw_path"].decode("ascii"),
        "query": request.scope["query_string"].decode("ascii"),
        "headers": dict(request.headers),
    }
    try:
        told["body"] = body.decode()
    except UnicodeDecodeError:
        told["body_base64"] = base64.b64encode(body).decode()
    return told


app = Starlette(
    routes=[
        Route("/health", _health),
        Route("/status/{code:int}", _status, methods=_ANY_METHOD),
        Route("/{path:path}", _echo, methods=_ANY_METHOD),
    ]
)
