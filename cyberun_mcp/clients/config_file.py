"""Our entry in the configuration file of a client: write it, remove it, read it."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from cyberun_mcp.clients import jsonc_editing
from cyberun_mcp.clients.ai_client import KEY_VARIABLE, AiClient
from cyberun_mcp.clients.file_replacement import FileChanged, FileProtected, read_file, replace_file
from cyberun_mcp.clients.jsonc_parser import ConfigTextError
from cyberun_mcp.clients.machine import Machine
from cyberun_mcp.clients.render import SERVER_NAME, ConnectionOptions, key_is_in_file, server_entry


class ConfigFileError(Exception):
    """The file could not be read or changed, and is as it was. The text says why, and what to do."""


@dataclass(frozen=True)
class EditResult:
    """What happened to the file. `backup` is None if nothing changed, or if the file did not exist before."""

    file: Path
    changed: bool
    backup: Path | None = None
    contains_key: bool = False


def write_entry(client: AiClient, options: ConnectionOptions, machine: Machine) -> EditResult:
    """Write our entry into the user's file of the client. Raises ConfigFileError, ConnectionNotSupported."""
    file = _file_to_edit(client, machine)
    contains_key = key_is_in_file(client, options)
    if contains_key:
        options = replace(options, key=_key_to_write(client, machine))
    before = _read(file)
    after = _edit(client, file, before, server_entry(client, options))
    return _save(file, before, after, contains_key=contains_key)


def remove_entry(client: AiClient, machine: Machine) -> EditResult:
    """Remove our entry from the user's file of the client. Raises ConfigFileError."""
    file = _file_to_edit(client, machine)
    before = _read(file)
    return _save(file, before, before if before is None else _edit(client, file, before, None))


def read_entry(client: AiClient, file: Path | None) -> dict[str, Any] | None:
    """Our entry in a file of the client. None if there is no file or no entry. Raises ConfigFileError."""
    text = None if file is None else _read(file)
    if file is None or text is None or not text.strip():
        return None
    section = _parse(client, file, text).get(client.section)
    entry = section.get(SERVER_NAME) if isinstance(section, dict) else None
    return entry if isinstance(entry, dict) else None


def _file_to_edit(client: AiClient, machine: Machine) -> Path:
    file = machine.config_file(client)
    if file is None:
        raise ConfigFileError(
            f"{client.title} has no file to edit. Leave out --write and paste into: {client.paste_into}"
        )
    return file


def _key_to_write(client: AiClient, machine: Machine) -> str:
    key = machine.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise ConfigFileError(
            f"{client.title} cannot read {KEY_VARIABLE} from its environment, so the key has to stand in its file. Set "
            f"{KEY_VARIABLE} for this command, or leave out --write and put the key in by hand."
        )
    return key


def _read(file: Path) -> str | None:
    try:
        return read_file(file)
    except UnicodeDecodeError as error:
        raise ConfigFileError(f"{file} is not UTF-8; nothing was changed.") from error
    except FileProtected as error:
        raise ConfigFileError(f"{file} {error}") from error
    except OSError as error:
        raise ConfigFileError(f"{file} cannot be read: {error.strerror}.") from error


def _editor_of(client: AiClient) -> tuple[ModuleType, dict[str, bool]]:
    """The module that edits the client's format, and its options."""
    if client.format != "toml":
        return jsonc_editing, {"comments": client.format == "jsonc"}
    from cyberun_mcp.clients import toml_editing

    return toml_editing, {}


def _parse(client: AiClient, file: Path, text: str) -> dict[str, Any]:
    editor, editor_options = _editor_of(client)
    try:
        document = editor.parse(text, **editor_options)
    except ConfigTextError as error:
        raise ConfigFileError(f"{file} cannot be parsed, so it was left alone: {error}.") from error
    if not isinstance(document, dict):
        raise ConfigFileError(f"{file} holds no object, so it was left alone.")
    return document


def _edit(client: AiClient, file: Path, before: str | None, entry: dict[str, Any] | None) -> str:
    """The text with `entry` as our entry, or without one if it is None."""
    editor, editor_options = _editor_of(client)
    text = before or ""
    try:
        if entry is None:
            after = editor.remove_entry(text, client.section, SERVER_NAME, **editor_options)
        else:
            after = editor.set_entry(text, client.section, SERVER_NAME, entry, **editor_options)
    except ConfigTextError as error:
        raise ConfigFileError(f"{file} cannot be edited, so it was left alone: {error}.") from error
    return str(after)


def _save(file: Path, before: str | None, after: str | None, *, contains_key: bool = False) -> EditResult:
    if after is None or after == before:
        return EditResult(file, changed=False, contains_key=contains_key)
    try:
        backup = replace_file(file, before, after, private=contains_key)
    except FileChanged as error:
        raise ConfigFileError(str(error)) from error
    except FileProtected as error:
        raise ConfigFileError(f"{file} {error}") from error
    except OSError as error:
        raise ConfigFileError(f"{file} cannot be written: {error.strerror}.") from error
    return EditResult(file, changed=True, backup=backup, contains_key=contains_key)
