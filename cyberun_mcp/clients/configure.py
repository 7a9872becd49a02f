"""Writing our entry into a client's own file, taking it out again, and seeing what is there."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from cyberun_mcp.clients import files, jsonc
from cyberun_mcp.clients.description import KEY, Client
from cyberun_mcp.clients.jsonc import Unreadable
from cyberun_mcp.clients.paths import Machine
from cyberun_mcp.clients.render import NAME, Connection, entry, writes_the_key


class Refused(Exception):
    """Nothing was written; the text says why and what to do."""


@dataclass(frozen=True)
class Done:
    """What was done to which file. Without a `copy` there was nothing to copy, or nothing to do."""

    file: Path
    changed: bool
    copy: Path | None = None
    key_in_clear: bool = False


def write(client: Client, connection: Connection, machine: Machine) -> Done:
    """Put our entry into the client's file. Raises Refused, NotSupported."""
    file = _file_of(client, machine)
    in_clear = writes_the_key(client, connection)
    if in_clear:
        connection = replace(connection, key=_key_to_write(client, machine))
    before = _read(file)
    after = _edited(client, file, before, entry(client, connection))
    return _put(file, before, after, key_in_clear=in_clear)


def remove(client: Client, machine: Machine) -> Done:
    """Take our entry out of the client's file. Raises Refused."""
    file = _file_of(client, machine)
    before = _read(file)
    return _put(file, before, before if before is None else _edited(client, file, before, None))


def present_entry(client: Client, file: Path | None) -> dict[str, Any] | None:
    """Our entry as it stands in a file of the client's, None where there is none. Raises Refused."""
    text = None if file is None else _read(file)
    if file is None or text is None or not text.strip():
        return None
    section = _said(client, file, text).get(client.section)
    found = section.get(NAME) if isinstance(section, dict) else None
    return found if isinstance(found, dict) else None


def _file_of(client: Client, machine: Machine) -> Path:
    file = machine.file_of(client)
    if file is None:
        raise Refused(f"{client.title} has no file to edit. Leave out --write and paste into: {client.paste}")
    return file


def _key_to_write(client: Client, machine: Machine) -> str:
    key = machine.environ.get(KEY, "").strip()
    if not key:
        raise Refused(
            f"{client.title} cannot read {KEY} from its environment, so the key has to stand in its file. Set {KEY} "
            "for this command, or leave out --write and put the key in by hand."
        )
    return key


def _read(file: Path) -> str | None:
    try:
        return files.read(file)
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is not UTF-8; nothing was changed.") from error
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}.") from error


def _notation(client: Client) -> tuple[ModuleType, dict[str, bool]]:
    if client.notation != "toml":
        return jsonc, {"comments": client.notation == "jsonc"}
    from cyberun_mcp.clients import toml

    return toml, {}


def _said(client: Client, file: Path, text: str) -> dict[str, Any]:
    editor, options = _notation(client)
    try:
        said = editor.loads(text, **options)
    except Unreadable as error:
        raise Refused(f"{file} cannot be parsed, so it was left alone: {error}.") from error
    if not isinstance(said, dict):
        raise Refused(f"{file} holds no object, so it was left alone.")
    return said


def _edited(client: Client, file: Path, before: str | None, wanted: dict[str, Any] | None) -> str:
    editor, options = _notation(client)
    text = before or ""
    try:
        if wanted is None:
            edited = editor.remove_entry(text, client.section, NAME, **options)
        else:
            edited = editor.set_entry(text, client.section, NAME, wanted, **options)
    except Unreadable as error:
        raise Refused(f"{file} cannot be edited, so it was left alone: {error}.") from error
    return str(edited)


def _put(file: Path, before: str | None, after: str | None, *, key_in_clear: bool = False) -> Done:
    if after is None or after == before:
        return Done(file, changed=False, key_in_clear=key_in_clear)
    try:
        copy = files.replace(file, before, after, private=key_in_clear)
    except files.Changed as error:
        raise Refused(str(error)) from error
    except files.Protected as error:
        raise Refused(f"{file} {error}") from error
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror}.") from error
    return Done(file, changed=True, copy=copy, key_in_clear=key_in_clear)
