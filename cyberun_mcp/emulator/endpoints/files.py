"""`/r/files`: getting files in."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from cyberun_mcp.emulator.endpoints.request import Call
from cyberun_mcp.emulator.errors import RequestRejected
from cyberun_mcp.emulator.object_storage import new_upload_key

_LARGEST_FILE = 500 * 1024 * 1024
_LONGEST_NAME = 255
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(;[ -~]*)?", re.ASCII)


async def presign(call: Call) -> Response:
    """A URL to upload one file to, and the key it will have."""
    call.require_member()
    body = await call.body()
    name, size, content_type = _file_name(body), _file_size(body), _content_type(body)
    key = new_upload_key(call.team.id, name, content_type)
    call.platform.database.uploads.insert(key, team_id=call.team.id, file_size=size, content_type=content_type)
    storage = call.platform.storage
    return JSONResponse(
        {
            "file_key": key,
            "upload_url": storage.upload_url(key, size),
            "upload_headers": storage.upload_headers(size),
        }
    )


def _file_name(body: Mapping[str, Any]) -> str:
    name = body.get("file_name")
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
        raise RequestRejected(400, f"file_name must be a string of 1 to {_LONGEST_NAME} characters")
    return name


def _file_size(body: Mapping[str, Any]) -> int:
    size = body.get("file_size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise RequestRejected(400, "file_size must be an integer of at least 1, the exact number of bytes")
    if size > _LARGEST_FILE:
        raise RequestRejected(400, f"file_size must be at most {_LARGEST_FILE} bytes (500 MB)")
    return size


def _content_type(body: Mapping[str, Any]) -> str:
    content_type = body.get("content_type")
    if not isinstance(content_type, str) or not _MEDIA_TYPE.fullmatch(content_type):
        raise RequestRejected(400, "content_type must be a MIME type such as image/png")
    return content_type
