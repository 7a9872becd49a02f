"""`/r/containers` and `/r/invoke`: descriptions of the container services, and requests to them."""

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
from cyberun_mcp.emulator.endpoints.request import ApiRequest
from cyberun_mcp.emulator.errors import RequestRejected, not_found

_INVOKE_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_PATH = re.compile(r"/(?!/)[!-\"$-~]*")
"""One slash, then printable ASCII characters except space and `#`."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


async def list_services(request: ApiRequest) -> Response:
    """The services of the team. The documentation does not name the list or mention pages; both are our choice."""
    page = request.requested_page()
    services = [service.to_json(registration) for registration, service in page.of(request.team.services)]
    return JSONResponse({"service_list": services, "page_meta": page.meta(len(request.team.services))})


async def get_service(request: ApiRequest) -> Response:
    """One service."""
    registration, service = _service(request)
    return JSONResponse(service.to_json(registration))


async def proxy(request: ApiRequest) -> Response:
    """The transparent proxy: forwards the request unchanged and streams the response back."""
    request.require_member()
    http = request.http
    # From the raw path, /api/v1/r/containers/{slug}/{rest}, so that escaped characters stay escaped. A slug with an
    # escaped slash would end elsewhere here than in the route. No real slug has a percent sign.
    slug, _, rest = http.scope["raw_path"].split(b"/", 5)[5].partition(b"/")
    if b"%" in slug:
        raise not_found()
    path, query = b"/" + rest, http.scope["query_string"]
    has_body = "content-length" in http.headers or "transfer-encoding" in http.headers
    upstream = await request.platform.gateway.send(
        *_service(request),
        method=http.method,
        target=path + b"?" + query if query else path,
        headers=http.headers.items(),
        content=http.stream() if has_body else None,
    )
    return _StreamedResponse(upstream)


async def invoke(request: ApiRequest) -> Response:
    """One request wrapped in JSON. Any response of the service, even an error status, is a 200 with it as data."""
    request.require_member()
    registration, service = _service(request)
    body = await request.json_body()
    upstream = await request.platform.gateway.send(
        registration,
        service,
        method=_method(body),
        target=_target(body),
        headers=[(name, value) for name, value in _headers(body) if name.lower() != "content-length"],
        content=_content(body) or None,
    )
    try:
        # Not decompressed, because Content-Encoding and Content-Length are returned too.
        content = b"".join([chunk async for chunk in upstream.aiter_raw()])
    except httpx2.HTTPError as error:
        raise RequestRejected(502, f"service {service.slug} broke off its answer: {error}") from error
    finally:
        await upstream.aclose()
    return JSONResponse(
        {
            "status_code": upstream.status_code,
            "headers": dict(end_to_end_headers(list(upstream.headers.items()))),
            "body_base64": base64.b64encode(content).decode(),
        }
    )


class _StreamedResponse(Response):
    """Streams the response of a service, and closes it at the end or when the caller disconnects."""

    def __init__(self, upstream: httpx2.Response) -> None:
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = StreamingResponse(self._upstream.aiter_raw(), status_code=self._upstream.status_code)
        response.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in end_to_end_headers(self._upstream.headers.multi_items())
        ]
        try:
            await response(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._upstream.aclose()


def _service(request: ApiRequest) -> tuple[Registration, ServiceDefinition]:
    entry = request.team.service(request.path_parameter("serviceSlug"))
    if entry is None:
        raise not_found()
    return entry


def _method(body: Mapping[str, Any]) -> str:
    method = body.get("method")
    if method not in _INVOKE_METHODS:
        raise RequestRejected(400, f"method must be one of {', '.join(_INVOKE_METHODS)}")
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
