"""TOML edited in place: the statements of one entry come, go or are replaced, and every other byte stays.

tomlkit alone would not do: it takes the comments before a table for part of the table above, and they would go with it.
So the text is cut into statements first, and tomlkit writes only what is new. The result is read back and compared.
"""

from itertools import pairwise
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from cyberun_mcp.clients.jsonc import Unreadable, newline
from cyberun_mcp.clients.toml_statements import Keys, Statement, loads, statements_of

__all__ = ["loads", "remove_entry", "set_entry"]


def set_entry(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    """`text` with `section`.`name` set to `entry`. Raises Unreadable."""
    before = loads(text)
    servers = _servers(before, section)
    if servers.get(name) == entry:
        return text
    return _checked(_edited(text, section, name, entry), before, section, {**servers, name: entry})


def remove_entry(text: str, section: str, name: str) -> str:
    """`text` without `section`.`name`. Raises Unreadable."""
    before = loads(text)
    servers = _servers(before, section)
    if name not in servers:
        return text
    added = newline(text) + _as_table(text, section, name, servers[name])
    rest = text.removesuffix(added)
    if rest == text or not rest.endswith("\n"):  # it does not stand as `set_entry` adds it, below a blank line
        rest = _edited(text, section, name, None)
    return _checked(rest, before, section, {key: each for key, each in servers.items() if key != name})


def _servers(said: dict[str, Any], section: str) -> dict[str, Any]:
    servers = said.get(section, {})
    if not isinstance(servers, dict):
        raise Unreadable(f"{section} is not a table")
    return servers


def _edited(text: str, section: str, name: str, entry: dict[str, Any] | None) -> str:
    statements = list(statements_of(text))
    inline = next((place for place, each in enumerate(statements) if _is_inline(each, section)), None)
    ours = _places_of(statements, (section, name))
    if inline is not None:
        changes = {inline: _edited_inline(statements[inline].text, section, name, entry)}
    elif ours:
        changes = dict.fromkeys(ours, "")
        if entry is not None:
            changes[min(ours)] = _replacing(statements[min(ours)], text, section, name, entry)
    else:
        return text if entry is None else _appended(text, section, name, entry)
    return "".join(changes.get(place, each.text) for place, each in enumerate(statements))


def _edited_inline(statement: str, section: str, name: str, entry: dict[str, Any] | None) -> str:
    document = tomlkit.parse(statement)
    try:
        if entry is not None:
            document[section][name] = entry
        elif name in document[section]:
            del document[section][name]
        return tomlkit.dumps(document)
    except (TOMLKitError, TypeError, KeyError) as error:
        raise Unreadable(f"{section} is written in a way that cannot be edited safely") from error


def _appended(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    """With the entry at the end, where it separates no comment from what it is about."""
    line = newline(text)
    between = "" if not text else line if text.endswith("\n") else line * 2
    return text + between + _as_table(text, section, name, entry)


def _replacing(first: Statement, text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    """What stands in the place of `first`: a table for a table, and a key for a key, since more keys may follow."""
    if first.about == first.table:
        return _as_table(text, section, name, entry)
    value = tomlkit.inline_table()
    value.update(entry)
    document = tomlkit.document()
    document.append(tomlkit.key([section, name][len(first.table) :]), value)
    return tomlkit.dumps(document).replace("\n", newline(text))


def _as_table(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    return tomlkit.dumps({section: {name: entry}}).replace("\n", newline(text))


def _places_of(statements: list[Statement], path: Keys) -> set[int]:
    """Where the statements about `path` are, and the comments and blank lines between two of them."""
    telling = [(place, each.about[: len(path)] == path) for place, each in enumerate(statements) if each.about]
    places = {place for place, ours in telling if ours}
    for (earlier, ours), (later, also_ours) in pairwise(telling):
        if ours and also_ours:
            places.update(range(earlier, later))
    return places


def _is_inline(statement: Statement, section: str) -> bool:
    """Whether the whole section is the value of one key, and its entries stand in that."""
    if statement.table or statement.about[:1] != (section,):
        return False
    return isinstance(tomlkit.parse(statement.text).get(section), InlineTable)


def _checked(after: str, before: dict[str, Any], section: str, servers: dict[str, Any]) -> str:
    wanted = {key: each for key, each in before.items() if key != section}
    said = loads(after)
    if said.pop(section, {}) != servers or said != wanted:
        raise Unreadable(f"{section} is written in a way that cannot be edited safely")
    return after
