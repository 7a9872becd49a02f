"""TOML edited in place by tomlkit, which keeps comments and layout; the result is read back and compared."""

import contextlib
import tomllib
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from cyberun_mcp.clients.jsonc import Unreadable


def loads(text: str) -> dict[str, Any]:
    """What `text` says. Raises Unreadable."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(str(error)) from error


def set_entry(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    """`text` with `section`.`name` set to `entry`. Raises Unreadable."""
    before = loads(text)
    if _servers(before, section).get(name) == entry:
        return text
    servers = {**_servers(before, section), name: entry}
    if name not in _servers(before, section):
        appended = _appended(text, section, name, entry)
        with contextlib.suppress(Unreadable):  # the section is written inline, so that nothing can be added to it below
            return _checked(appended, before, section, servers)
    return _checked(_edited(text, section, name, entry), before, section, servers)


def _appended(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    """With the entry at the end, where it separates no comment from what it is about."""
    between = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return text + between + tomlkit.dumps({section: {name: entry}})


def _edited(text: str, section: str, name: str, entry: dict[str, Any] | None) -> str:
    document = tomlkit.parse(text)
    try:
        if entry is not None:
            document[section][name] = entry
        else:
            del document[section][name]
            if not document[section]:
                del document[section]
        return tomlkit.dumps(document)
    except (TOMLKitError, TypeError, KeyError) as error:
        raise Unreadable(f"{section} is written in a way that cannot be edited safely") from error


def _servers(said: dict[str, Any], section: str) -> dict[str, Any]:
    servers = said.get(section, {})
    if not isinstance(servers, dict):
        raise Unreadable(f"{section} is not a table")
    return servers


def remove_entry(text: str, section: str, name: str) -> str:
    """`text` without `section`.`name`, and without the section if nothing else is in it. Raises Unreadable."""
    before = loads(text)
    if name not in _servers(before, section):
        return text
    kept = {key: each for key, each in before[section].items() if key != name}
    appended = "\n" + tomlkit.dumps({section: {name: before[section][name]}})
    after = text.removesuffix(appended) if text.endswith(appended) else _edited(text, section, name, None)
    return _checked(after, before, section, kept)


def _checked(after: str, before: dict[str, Any], section: str, servers: dict[str, Any]) -> str:
    wanted = {key: each for key, each in before.items() if key != section}
    said = loads(after)
    if said.pop(section, {}) != servers or said != wanted:
        raise Unreadable(f"{section} is written in a way that cannot be edited safely")
    return after
