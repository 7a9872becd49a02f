"""The HTTP face of the object storage: signed PUT and GET, refusals in S3's XML."""

from pathlib import Path
from xml.sax.saxutils import escape

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from cyberun_mcp.emulator.database import UploadTable
from cyberun_mcp.emulator.errors import InvalidSignature
from cyberun_mcp.emulator.object_storage import ObjectStorage, guess_content_type


class Bucket:
    """Answers requests to signed URLs."""

    def __init__(self, storage: ObjectStorage, uploads: UploadTable) -> None:
        self._storage = storage
        self._uploads = uploads

    async def answer(self, request: Request) -> Response:
        """Deliver or store one object, if the URL allows it."""
        try:
            self._storage.signer.verify(
                request.method, request.scope["path"], request.scope["query_string"].decode("ascii"), request.headers
            )
        except InvalidSignature as error:
            return _refusal(403, error.code, str(error))
        key = str(request.path_params["key"])
        return await self._store(request, key) if request.method == "PUT" else self._deliver(key)

    def _deliver(self, key: str) -> Response:
        path = self._storage.path(key)
        if not path.is_file():
            return _refusal(404, "NoSuchKey", "The specified key does not exist.")
        return FileResponse(path, media_type=self._uploads.content_type(key) or guess_content_type(path.name))

    async def _store(self, request: Request, key: str) -> Response:
        if self._storage.contains(key):
            return _already_there()
        arriving = self._storage.new_temporary_file()
        try:
            await _receive(request, arriving)
            # Between this look and the move nothing else runs, so of two uploads racing one loses.
            if self._storage.contains(key):
                return _already_there()
            self._storage.store(arriving, key)
        finally:
            arriving.unlink(missing_ok=True)
        return Response(status_code=200)


async def _receive(request: Request, file: Path) -> None:
    async with await anyio.open_file(file, "wb") as out:
        async for chunk in request.stream():
            await out.write(chunk)


def _already_there() -> Response:
    return _refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")


def _refusal(status: int, code: str, message: str) -> Response:
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?>\n{error}', status_code=status, media_type="application/xml"
    )
