"""Replaces a file of another program completely or not at all, and keeps a backup of it.

The new file is written beside the old one and renamed, so it has to be given the owner, group and mode of the old one.
"""

import contextlib
import itertools
import os
import shlex
import stat
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

OWNER_ONLY = 0o600


class FileChanged(Exception):
    """Another program changed the file between reading and writing. Nothing was written."""


class FileProtected(Exception):
    """The file is read-only, or belongs to another user. Nothing was written. The text says what to do."""


def read_file(path: Path) -> str | None:
    """The text with its line ends as they are, or None if there is no file.

    Raises UnicodeDecodeError, OSError, and FileProtected for what is no regular file: a pipe would never end, and root
    would replace a device.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise FileProtected("is not a regular file, so it was left alone.")
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None


def replace_file(path: Path, before: str | None, after: str, *, private: bool = False) -> Path | None:
    """Write `after` to a file whose text was `before`; returns the backup. A symbolic link remains one.

    With `private`, only the owner can read the new file. Raises FileChanged, FileProtected, OSError.
    """
    target = path.resolve()
    _check_unchanged(target, before)
    old = None if before is None else target.stat()
    # Neither root nor a rename is stopped by a missing write permission.
    if old and not old.st_mode & stat.S_IWUSR:
        command = _command_to_unlock(target)
        raise FileProtected(f"is read-only, so it was left alone. To have it changed: {command}")
    _create_folder(target.parent)
    backup: Path | None = None
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _write(file, after, like=old or _owner_of_new_files(target.parent), private=private or old is None)
        if before is not None and old is not None:
            backup = _back_up(target, before, old)
        _check_unchanged(target, before)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        if backup is not None:
            backup.unlink()
        raise
    return backup


def _check_unchanged(target: Path, before: str | None) -> None:
    if read_file(target) != before:
        raise FileChanged(f"{target} has just been changed by another program; run the command again.")


def _command_to_unlock(target: Path) -> str:
    return f'attrib -R "{target}"' if sys.platform == "win32" else f"chmod u+w {shlex.quote(str(target))}"


def _create_folder(folder: Path) -> None:
    """Create the folder and its parents. If root creates them in a user's folder, they belong to that user."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        if sys.platform != "win32" and (owner := _owner_of_new_files(path.parent)):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _owner_of_new_files(folder: Path) -> os.stat_result | None:
    """For root, the folder, whose owner shall own new files in it. None for other users, who own what they create."""
    return folder.stat() if sys.platform != "win32" and os.geteuid() == 0 else None


def _back_up(target: Path, before: str, old: os.stat_result) -> Path:
    """Write a copy beside the file, under a name that does not exist yet."""
    timestamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in itertools.count():
        backup = target.with_name(f"{target.name}.{timestamp}{f'-{number}' if number else ''}.bak")
        with contextlib.suppress(FileExistsError):
            file = open(backup, "xb", opener=_open_private)  # noqa: SIM115 - "x" does not follow a symbolic link
            break
    try:
        with file:
            _write(file, before, like=old, private=False)
    except BaseException:
        backup.unlink()
        raise
    return backup


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, OWNER_ONLY)


def _write(file: IO[bytes], text: str, *, like: os.stat_result | None, private: bool) -> None:
    """Write the text, and set the owner, group and mode to those of `like`. With `private`, the mode is OWNER_ONLY.

    This uses the file handle: in the folder of another user, the name could have become a link to another file.
    """
    file.write(text.encode())
    file.flush()
    handle = file.fileno()
    if like is not None and sys.platform != "win32":
        current = os.fstat(handle)
        if (current.st_uid, current.st_gid) != (like.st_uid, like.st_gid):
            try:
                os.fchown(handle, like.st_uid, like.st_gid)
            except PermissionError as error:
                raise FileProtected(
                    "belongs to another user or group, so it was left alone: run the command as its owner."
                ) from error
        os.fchmod(handle, OWNER_ONLY if private else like.st_mode & 0o777)
    os.fsync(handle)
