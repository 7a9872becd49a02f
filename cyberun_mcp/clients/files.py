"""Replacing a file that belongs to somebody else: whole or not at all, with a copy of what was there."""

import contextlib
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

PRIVATE = 0o600


class Changed(Exception):
    """The file changed between reading and writing, so nothing was written."""


def read(path: Path) -> str | None:
    """The text, every byte of it, line ends included; None where there is no file. Raises UnicodeDecodeError."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None


def replace(path: Path, before: str | None, after: str, *, private: bool = False) -> Path | None:
    """Put `after` where `before` was read, and give the copy made of it. A link stays a link.

    `private` takes the file from all but its owner. Raises Changed, OSError.
    """
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = None if before is None else _back_up(target)
    mode = PRIVATE if private or before is None else target.stat().st_mode & 0o777
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(after.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
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


def _back_up(target: Path) -> Path:
    """A copy beside the file, under a name that no other has."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    number = 0
    while (copy := target.with_name(f"{target.name}.{stamp}{f'-{number}' if number else ''}.bak")).exists():
        number += 1
    shutil.copy2(target, copy)
    return copy
