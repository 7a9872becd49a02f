"""`/r/containers` and `/r/invoke`: container services, described and called."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import anyio
import httpx2
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from cyberun_mcp.emulator.containers.gateway import Headers, end_to_end_headers
from cyberun_mcp.emulator.containers.services import ServiceDefinition
from cyberun_mcp.emulator.database import Registration
from cyberun_mcp.emulator.endpoints.request import Call
from cyberun_mcp.emulator.errors import RequestRejected, not_found
from cyberun_mcp.emulator.paging import Page

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_PATH = re.compile(r"/(?!/)[!-\"$-~]*")
"""Begins with one slash; printable ASCII without spaces and `#`."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


async def list_services(call: Call) -> Response:
    """The team's services. The list's name and its paging are not documented: these are our choice."""
    page = Page.of(call.request.query_params)
    shown = [service.to_json(named) for named, service in page.cut(call.team.services)]
    return JSONResponse({"service_list": shown, "page_meta": page.meta(len(call.team.services))})


async def get_service(call: Call) -> Response:
    """One service."""
    named, service = _service(call)
    return JSONResponse(service.to_json(named))


async def proxy(call: Call) -> Response:
    """The transparent proxy: the request goes on as it is, and so does the answer, as it comes."""
    call.require_member()
    request = call.request
    # Not the decoded path: what is escaped stays escaped. It reads /api/v1/r/containers/{slug}/ and then the rest.
    # An escaped slash in the slug would make the two disagree on where it ends; no slug has one.
    slug, _, rest = request.scope["raw_path"].split(b"/", 5)[5].partition(b"/")
    if b"%" in slug:
        raise not_found()
    path, query = b"/" + rest, request.scope["query_string"]
    has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
    upstream = await call.platform.gateway.send(
        *_service(call),
        method=request.method,
        target=path + b"?" + query if query else path,
        headers=request.headers.items(),
        content=request.stream() if has_body else None,
    )
    return _Relay(upstream)


async def invoke(call: Call) -> Response:
    """One call wrapped in JSON: what the service answers, even an error, is data."""
    call.require_member()
    named, service = _service(call)
    body = await call.body()
    upstream = await call.platform.gateway.send(
        named,
        service,
        method=_method(body),
        target=_target(body),
        headers=[(name, value) for name, value in _headers(body) if name.lower() != "content-length"],
        content=_content(body) or None,
    )
    try:
        # Raw, because its headers are handed on: they speak of these bytes, compressed or not.
        answer = b"".join([chunk async for chunk in upstream.aiter_raw()])
    except httpx2.HTTPError as error:
        raise RequestRejected(502, f"service {service.slug} broke off its answer: {error}") from error
    finally:
        await upstream.aclose()
    return JSONResponse(
        {
            "status_code": upstream.status_code,
            "headers": dict(end_to_end_headers(list(upstream.headers.items()))),
            "body_base64": base64.b64encode(answer).decode(),
        }
    )


class _Relay(Response):
    """An upstream answer passed on while it arrives."""

    def __init__(self, upstream: httpx2.Response) -> None:
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = StreamingResponse(self._upstream.aiter_raw(), status_code=self._upstream.status_code)
        answer.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in end_to_end_headers(self._upstream.headers.multi_items())
        ]
        try:
            await answer(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._upstream.aclose()


def _service(call: Call) -> tuple[Registration, ServiceDefinition]:
    found = call.team.service(call.path("serviceSlug"))
    if found is None:
        raise not_found()
    return found


def _method(body: Mapping[str, Any]) -> str:
    method = body.get("method")
    if method not in _METHODS:
        raise RequestRejected(400, f"method must be one of {', '.join(_METHODS)}")
    return str(method)


def _target(body: Mapping[str, Any]) -> bytes:
    path = body.get("path")
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise RequestRejected(400, "path must begin with a single / and be a URL path, with a query at most")
    return path.encode()


def _headers(body: Mapping[str, Any]) -> Headers:
    headers = body.get("headers")
    if headers is None:
        return []
    if not isinstance(headers, dict):
        raise RequestRejected(400, "headers must be an object of strings")
    for name, value in headers.items():
        if not isinstance(value, str) or not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise RequestRejected(400, f"headers: {name!r} is not a valid header")
    return list(headers.items())


def _content(body: Mapping[str, Any]) -> bytes:
    text = body.get("body_base64")
    if text is None:
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise RequestRejected(400, "body_base64 must be base64") from None
