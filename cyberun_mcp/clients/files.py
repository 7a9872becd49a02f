"""Replacing a file that belongs to somebody else: whole or not at all, with a copy of what was there.

A new file takes the place of the old one, and so needs what that had: its owner, its group and its mode.
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

PRIVATE = 0o600


class Changed(Exception):
    """The file changed between reading and writing, so nothing was written."""


class Protected(Exception):
    """This user must not replace the file, so nothing was written; the text says why, and what to do."""


def read(path: Path) -> str | None:
    """The text, every byte of it, line ends included; None where there is no file. Raises UnicodeDecodeError."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None


def replace(path: Path, before: str | None, after: str, *, private: bool = False) -> Path | None:
    """Put `after` where `before` was read, and give the copy made of it. A link stays a link.

    `private` takes the file from all but its owner. Raises Changed, Protected, OSError.
    """
    target = path.resolve()
    _refuse_if_changed(target, before)
    present = None if before is None else target.stat()
    if present and not present.st_mode & stat.S_IWUSR:  # which stops neither root nor a rename
        raise Protected(f"is read-only, so it was left alone. To have it changed: {_unlocking(target)}")
    _make_folder(target.parent)
    copy: Path | None = None
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _fill(file, after, like=present or _model(target.parent), private=private or present is None)
        if before is not None and present is not None:
            copy = _back_up(target, before, present)
        _refuse_if_changed(target, before)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        if copy is not None:
            copy.unlink()
        raise
    return copy


def _refuse_if_changed(target: Path, before: str | None) -> None:
    if read(target) != before:
        raise Changed(f"{target} has just been changed by another program; run the command again.")


def _unlocking(target: Path) -> str:
    return f'attrib -R "{target}"' if sys.platform == "win32" else f"chmod u+w {shlex.quote(str(target))}"


def _make_folder(folder: Path) -> None:
    """With those above it. What root makes in a user's folder is the user's."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        if sys.platform != "win32" and (model := _model(each.parent)):
            os.chown(each, model.st_uid, model.st_gid, follow_symlinks=False)


def _model(folder: Path) -> os.stat_result | None:
    """Whose a new file in this folder is to be: its owner's, as far as this user can give files away at all."""
    return folder.stat() if sys.platform != "win32" and os.geteuid() == 0 else None


def _back_up(target: Path, before: str, present: os.stat_result) -> Path:
    """A copy beside the file, under a name that no other has."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in itertools.count():
        copy = target.with_name(f"{target.name}.{stamp}{f'-{number}' if number else ''}.bak")
        with contextlib.suppress(FileExistsError):
            file = open(copy, "xb", opener=_private)  # noqa: SIM115 - "x" does not follow a link put there either
            break
    try:
        with file:
            _fill(file, before, like=present, private=False)
    except BaseException:
        copy.unlink()
        raise
    return copy


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)


def _fill(file: IO[bytes], text: str, *, like: os.stat_result | None, private: bool) -> None:
    """Write the text, and give the file the owner and group of `like`; its mode too, unless it is to be private.

    By its handle, not its name: in a user's folder the name may lead elsewhere by now.
    """
    file.write(text.encode())
    file.flush()
    handle = file.fileno()
    if like is not None and sys.platform != "win32":
        own = os.fstat(handle)
        if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
            try:
                os.fchown(handle, like.st_uid, like.st_gid)
            except PermissionError as error:
                what = "belongs to another user or group, so it was left alone: run the command as its owner."
                raise Protected(what) from error
        os.fchmod(handle, PRIVATE if private else like.st_mode & 0o777)
    os.fsync(handle)
