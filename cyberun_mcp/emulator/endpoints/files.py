"""`/r/files` and `/bucket`: presigning uploads, and the HTTP side of the object storage with the errors of S3."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from cyberun_mcp.emulator.database import UploadTable
from cyberun_mcp.emulator.endpoints.request import ApiRequest
from cyberun_mcp.emulator.errors import InvalidSignature, RequestRejected
from cyberun_mcp.emulator.object_storage import ObjectStorage, guess_content_type, new_upload_key

_MAX_FILE_SIZE = 500 * 1024 * 1024
_MAX_NAME_LENGTH = 255
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(;[ -~]*)?", re.ASCII)


async def presign(request: ApiRequest) -> Response:
    """A URL for uploading one file, and the key that the file will have."""
    request.require_member()
    body = await request.json_body()
    name, size, content_type = _file_name(body), _file_size(body), _content_type(body)
    key = new_upload_key(request.team.id, name, content_type)
    request.platform.database.uploads.insert(key, team_id=request.team.id, file_size=size, content_type=content_type)
    storage = request.platform.storage
    return JSONResponse(
        {
            "file_key": key,
            "upload_url": storage.upload_url(key, size),
            "upload_headers": storage.upload_headers(size),
        }
    )


class Bucket:
    """Responds to requests for presigned URLs."""

    def __init__(self, storage: ObjectStorage, uploads: UploadTable) -> None:
        self._storage = storage
        self._uploads = uploads

    async def respond(self, request: Request) -> Response:
        """Send or receive one file, if the URL permits it."""
        try:
            self._storage.signer.verify(
                request.method, request.scope["path"], request.scope["query_string"].decode("ascii"), request.headers
            )
        except InvalidSignature as error:
            return _s3_error(403, error.code, str(error))
        key = str(request.path_params["key"])
        return await self._receive(request, key) if request.method == "PUT" else self._send(key)

    def _send(self, key: str) -> Response:
        path = self._storage.path(key)
        if not path.is_file():
            return _s3_error(404, "NoSuchKey", "The specified key does not exist.")
        return FileResponse(path, media_type=self._uploads.content_type(key) or guess_content_type(path.name))

    async def _receive(self, request: Request, key: str) -> Response:
        if self._storage.contains(key):
            return _already_exists()
        file = self._storage.new_temporary_file()
        try:
            await _write_body(request, file)
            # No await between this check and the move, so only one of two simultaneous uploads succeeds.
            if self._storage.contains(key):
                return _already_exists()
            self._storage.store(file, key)
        finally:
            file.unlink(missing_ok=True)
        return Response(status_code=200)


async def _write_body(request: Request, file: Path) -> None:
    async with await anyio.open_file(file, "wb") as stream:
        async for chunk in request.stream():
            await stream.write(chunk)


def _already_exists() -> Response:
    return _s3_error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")


def _s3_error(status: int, code: str, message: str) -> Response:
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?>\n{error}', status_code=status, media_type="application/xml"
    )


def _file_name(body: Mapping[str, Any]) -> str:
    name = body.get("file_name")
    if not isinstance(name, str) or not name.strip() or len(name) > _MAX_NAME_LENGTH:
        raise RequestRejected(400, f"file_name must be a string of 1 to {_MAX_NAME_LENGTH} characters")
    return name


def _file_size(body: Mapping[str, Any]) -> int:
    size = body.get("file_size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise RequestRejected(400, "file_size must be an integer of at least 1, the exact number of bytes")
    if size > _MAX_FILE_SIZE:
        raise RequestRejected(400, f"file_size must be at most {_MAX_FILE_SIZE} bytes (500 MB)")
    return size


def _content_type(body: Mapping[str, Any]) -> str:
    content_type = body.get("content_type")
    if not isinstance(content_type, str) or not _MEDIA_TYPE.fullmatch(content_type):
        raise RequestRejected(400, "content_type must be a MIME type such as image/png")
    return content_type
