"""Objects on disk, by key."""

import base64
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from cyberun_mcp.emulator.formats import new_id
from cyberun_mcp.emulator.storage.signing import Signer

BUCKET_PATH = "/bucket/"
LINK_SECONDS = 3600
"""How long upload and download links hold; the documented examples show an hour."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Storage:
    """The bytes of the platform: `objects/` is what can be fetched, `partial/` what is still arriving or being made."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.signer = signer
        self._objects = folder / "objects"
        self._partial = folder / "partial"
        # Whatever was half done when the last process ended is of no use to anyone.
        shutil.rmtree(self._partial, ignore_errors=True)
        self._objects.mkdir(exist_ok=True)
        self._partial.mkdir()

    def path(self, key: str) -> Path:
        """Where the object with this key lies.

        Only keys this storage has made reach it, for a URL with any other key is not signed; the check stands for the
        day when that is no longer so.
        """
        path = self._objects / key
        if not path.resolve().is_relative_to(self._objects.resolve()):
            raise ValueError(f"not an object key: {key!r}")
        return path

    def has(self, key: str) -> bool:
        """Whether the bytes of this key have arrived."""
        return self.path(key).is_file()

    def scratch_file(self) -> Path:
        """A fresh path for bytes that are arriving."""
        return self._partial / new_id()

    @contextmanager
    def scratch_folder(self) -> Iterator[Path]:
        """A fresh folder for outputs being made, gone after the block with all that was not adopted."""
        with tempfile.TemporaryDirectory(dir=self._partial) as folder:
            yield Path(folder)

    def adopt(self, file: Path, key: str) -> None:
        """Turn a finished file into an object, in one step."""
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)

    def upload_headers(self, size: int) -> dict[str, str]:
        """The headers an upload must carry: the exact size, and that it must not overwrite."""
        return {"Content-Length": str(size), "If-None-Match": "*"}

    def upload_link(self, key: str, size: int) -> str:
        """A URL to PUT exactly `size` bytes to, once."""
        headers = {name.lower(): value for name, value in self.upload_headers(size).items()}
        return self.signer.sign("PUT", BUCKET_PATH + key, headers=headers, expires=LINK_SECONDS)

    def download_link(self, key: str) -> str:
        """A URL to GET the object from."""
        return self.signer.sign("GET", BUCKET_PATH + key, headers={}, expires=LINK_SECONDS)

    @property
    def host(self) -> str:
        """Host and port the links point to."""
        return urlsplit(self.signer.origin).netloc


def input_key(team_id: str, file_name: str, content_type: str) -> str:
    """A new key for an upload, laid out like the documented example: inputs/team/random/type/name."""
    kind = base64.urlsafe_b64encode(content_type.encode()).decode().rstrip("=")
    return f"inputs/{team_id}/{new_id()}/{kind[:80]}/{_safe_name(file_name)}"


def _safe_name(file_name: str) -> str:
    # The last 100 characters, so that the extension stays.
    return _UNSAFE.sub("_", file_name)[-100:].strip(".") or "file"
