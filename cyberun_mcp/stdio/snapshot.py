"""The prepared answers of the handshake, for exactly one version of this package and of the SDK.

`snapshot.json` comes with the package. Where another version of the SDK is installed, `snapshot_writer` leaves the
right answers in the user's cache folder, and the next start takes them from there.

Everything here runs before the first answer, so it imports the standard library's smallest parts alone.
"""

import json
import os
import stat
import sys
from collections.abc import Mapping
from typing import Any

from cyberun_mcp import __version__

Answers = Mapping[str, Mapping[str, Any]]  # method → revisions, with blanks between → result

PACKAGED = os.path.join(os.path.dirname(__file__), "snapshot.json")  # noqa: PTH118, PTH120 - pathlib loads for 3 ms
LARGEST = 4 * 1024 * 1024  # bytes of a file in the cache; it has about 100,000
_SDK = ("mcp", "mcp_types")


def find_snapshot() -> Answers | None:
    """The prepared answers, from the package or the cache; None when there are none for the installed versions."""
    packaged = read_snapshot()
    if packaged is not None:
        return packaged
    path = cached_path()
    return read_cached(path) if path else None


def read_snapshot(path: str = PACKAGED) -> Answers | None:
    """The packaged answers; None when they are missing, or another version of ours or of the SDK made them."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return _parse(file.read())
    except OSError:
        return None


def read_cached(path: str) -> Answers | None:
    """The answers in the cache; None when they are missing, damaged, of other versions, or not ours alone to write."""
    from binascii import crc32

    try:
        if not is_private_folder(os.path.dirname(path)):  # noqa: PTH120
            return None
        # A FIFO of that name would make an ordinary `open` wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not (stat.S_ISREG(status.st_mode) and _only_we_write(status) and status.st_size <= LARGEST):
                return None
            checksum, _, text = file.read().partition(b"\n")
    except OSError:
        return None
    return _parse(text) if checksum == b"%08x" % crc32(text) else None


def is_private_folder(folder: str) -> bool:
    """Whether nobody else can put files into a folder. Raises OSError when it is not there."""
    status = os.lstat(folder)
    return stat.S_ISDIR(status.st_mode) and _only_we_write(status)


def made_with() -> dict[str, Any]:
    """The versions that a snapshot has to name: ours, and `mcp-2.3.0`, say, of the SDK."""
    return {"cyberun-mcp": __version__, "with": [_installed(name) for name in _SDK]}


def cached_path() -> str | None:
    """The file in the cache folder for the installed versions; None where there is no such folder or version."""
    from binascii import crc32

    folder, sdk = cache_folder(os.environ, sys.platform), made_with()["with"]
    if not folder or not all(sdk):
        return None
    try:
        with open(PACKAGED, "rb") as file:  # noqa: PTH123
            packaged = crc32(file.read())  # else a working copy would be served with the tools of its last commit
    except OSError:
        packaged = 0
    return f"{folder}/handshake-{__version__}-{packaged:08x}-{'-'.join(sdk)}.json"


def cache_folder(environ: Mapping[str, str], platform: str) -> str | None:
    """The folder that platformdirs names, without importing it, which takes longer than all the rest of a start.

    None where that takes more than these two variables (no absolute HOME), and on Windows, which has no fast start.
    """
    configured = environ.get("XDG_CACHE_HOME", "")
    home = environ.get("HOME", "")
    if platform == "win32" or (not configured and not home.startswith("/")):
        return None
    default = home.rstrip("/") + ("/Library/Caches" if platform == "darwin" else "/.cache")
    folder = configured or default
    return f"{folder.rstrip('/')}/cyberun-mcp" if folder.startswith("/") and folder == folder.strip() else None


def _parse(text: bytes) -> Answers | None:
    try:
        snapshot = json.loads(text)
    except ValueError:
        return None
    if not isinstance(snapshot, dict) or any(snapshot.get(name) != value for name, value in made_with().items()):
        return None
    answers: Answers = snapshot["answers"]
    return answers


def _installed(package: str) -> str:
    """`mcp-2.3.0`, say; empty where that is not certain. To ask importlib.metadata takes as long as all the rest."""
    for folder in sys.path:
        if os.path.isfile(f"{folder or '.'}/{package}/__init__.py"):  # noqa: PTH113
            names = [
                name.removesuffix(".dist-info")
                for name in os.listdir(folder or ".")  # noqa: PTH208
                if name.startswith(f"{package}-") and name.endswith(".dist-info")
            ]
            return names[0] if len(names) == 1 else ""
    return ""


def _only_we_write(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
