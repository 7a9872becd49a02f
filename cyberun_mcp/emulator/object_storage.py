"""Files on disk, addressed by key and reached through presigned URLs, as in S3."""

import base64
import mimetypes
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cyberun_mcp.emulator.formats import new_id
from cyberun_mcp.emulator.signed_urls import UrlSigner

BUCKET_PATH = "/bucket/"
URL_LIFETIME_SECONDS = 3600
"""Lifetime of upload and download URLs. The platform's documented examples show one hour."""

_UNSAFE_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")


class ObjectStorage:
    """`objects/` has the complete files, `partial/` those that are still being received or produced."""

    def __init__(self, folder: Path, signer: UrlSigner) -> None:
        self.signer = signer
        self._objects = folder / "objects"
        self._partial = folder / "partial"
        # Files that the previous process left incomplete cannot be completed.
        shutil.rmtree(self._partial, ignore_errors=True)
        self._objects.mkdir(exist_ok=True)
        self._partial.mkdir()

    def path(self, key: str) -> Path:
        """The file of this key, whether or not it exists. Raises `ValueError` for a key outside the storage.

        All keys come from this storage or from a URL that it signed, so that error would be a bug.
        """
        path = self._objects / key
        if not path.resolve().is_relative_to(self._objects.resolve()):
            raise ValueError(f"not an object key: {key!r}")
        return path

    def contains(self, key: str) -> bool:
        """Whether there is a complete file with this key."""
        return self.path(key).is_file()

    def new_temporary_file(self) -> Path:
        """A new path for a file that is being received."""
        return self._partial / new_id()

    @contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """A new folder for outputs that are being produced; deleted with whatever was not stored."""
        with tempfile.TemporaryDirectory(dir=self._partial) as folder:
            yield Path(folder)

    def store(self, file: Path, key: str) -> None:
        """Move a complete file to its key, atomically."""
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)

    def upload_headers(self, size: int) -> dict[str, str]:
        """The headers that an upload must send: its exact size, and that it must not overwrite."""
        return {"Content-Length": str(size), "If-None-Match": "*"}

    def upload_url(self, key: str, size: int) -> str:
        """A URL that accepts one PUT of exactly `size` bytes."""
        headers = {name.lower(): value for name, value in self.upload_headers(size).items()}
        return self.signer.sign("PUT", BUCKET_PATH + key, headers=headers, expires=URL_LIFETIME_SECONDS)

    def download_url(self, key: str) -> str:
        """A URL that returns the file on GET."""
        return self.signer.sign("GET", BUCKET_PATH + key, headers={}, expires=URL_LIFETIME_SECONDS)


def new_upload_key(team_id: str, file_name: str, content_type: str) -> str:
    """A new key, laid out like the documented example: `inputs/<team>/<random>/<base64 of the type>/<file name>`."""
    encoded_type = base64.urlsafe_b64encode(content_type.encode()).decode().rstrip("=")
    return f"inputs/{team_id}/{new_id()}/{encoded_type[:80]}/{_safe_name(file_name)}"


def guess_content_type(file_name: str) -> str:
    """The content type that the extension of an output stands for."""
    return mimetypes.guess_type(file_name)[0] or "application/octet-stream"


def _safe_name(file_name: str) -> str:
    # The last 100 characters, which keeps the extension.
    return _UNSAFE_CHARACTERS.sub("_", file_name)[-100:].strip(".") or "file"
