"""Edits TOML: adds, replaces or removes the statements of one entry and leaves all other bytes as they are.

tomlkit alone is not enough: it takes the comments before a table for a part of the table above, so they would be
removed with it. So the text is split into statements first, and tomlkit only writes the new ones. The result is parsed
again and compared before it is returned.
"""

from itertools import pairwise
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from cyberun_mcp.clients.jsonc_editing import newline_of
from cyberun_mcp.clients.jsonc_parser import ConfigTextError
from cyberun_mcp.clients.toml_statements import Keys, Statement, parse, split_statements

__all__ = ["parse", "remove_entry", "set_entry"]


def set_entry(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    """The text with `section`.`name` set to `entry`. Raises ConfigTextError."""
    document = parse(text)
    servers = _servers_of(document, section)
    if servers.get(name) == entry:
        return text
    after = _edit(text, section, name, entry)
    return _check_result(after, document, section, {**servers, name: entry})


def remove_entry(text: str, section: str, name: str) -> str:
    """The text without `section`.`name`. Raises ConfigTextError."""
    document = parse(text)
    servers = _servers_of(document, section)
    if name not in servers:
        return text
    # The entry may be as `set_entry` adds it: at the end, after a blank line. Then the blank line is removed too.
    added = newline_of(text) + _to_table(text, section, name, servers[name])
    after = text.removesuffix(added)
    if after == text or not after.endswith("\n"):
        after = _edit(text, section, name, None)
    remaining = {key: server for key, server in servers.items() if key != name}
    return _check_result(after, document, section, remaining)


def _servers_of(document: dict[str, Any], section: str) -> dict[str, Any]:
    servers = document.get(section, {})
    if not isinstance(servers, dict):
        raise ConfigTextError(f"{section} is not a table")
    return servers


def _edit(text: str, section: str, name: str, entry: dict[str, Any] | None) -> str:
    statements = list(split_statements(text))
    inline = next((index for index, statement in enumerate(statements) if _is_inline(statement, section)), None)
    ours = _indexes_of(statements, (section, name))
    if inline is not None:
        changes = {inline: _edit_inline(statements[inline].text, section, name, entry)}
    elif ours:
        changes = dict.fromkeys(ours, "")
        if entry is not None:
            changes[min(ours)] = _replacement_for(statements[min(ours)], text, section, name, entry)
    else:
        return text if entry is None else _append(text, section, name, entry)
    return "".join(changes.get(index, statement.text) for index, statement in enumerate(statements))


def _edit_inline(statement: str, section: str, name: str, entry: dict[str, Any] | None) -> str:
    document = tomlkit.parse(statement)
    try:
        if entry is not None:
            document[section][name] = entry
        elif name in document[section]:
            del document[section][name]
        return tomlkit.dumps(document)
    except (TOMLKitError, TypeError, KeyError) as error:
        raise ConfigTextError(f"{section} is written in a way that cannot be edited safely") from error


def _append(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    """Add the entry at the end, so that it comes between no comment and the statement that the comment is about."""
    newline = newline_of(text)
    separator = "" if not text else newline if text.endswith("\n") else newline * 2
    return text + separator + _to_table(text, section, name, entry)


def _replacement_for(first: Statement, text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    """The new entry in the place of `first`: a table for a table, and a key for a key, as more keys may follow."""
    if first.path == first.table:
        return _to_table(text, section, name, entry)
    value = tomlkit.inline_table()
    value.update(entry)
    document = tomlkit.document()
    document.append(tomlkit.key([section, name][len(first.table) :]), value)
    return tomlkit.dumps(document).replace("\n", newline_of(text))


def _to_table(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    return tomlkit.dumps({section: {name: entry}}).replace("\n", newline_of(text))


def _indexes_of(statements: list[Statement], path: Keys) -> set[int]:
    """The indexes of the statements below `path`, and of the comments and blank lines between two of them."""
    matches = [
        (index, statement.path[: len(path)] == path) for index, statement in enumerate(statements) if statement.path
    ]
    indexes = {index for index, is_ours in matches if is_ours}
    for (index, is_ours), (next_index, next_is_ours) in pairwise(matches):
        if is_ours and next_is_ours:
            indexes.update(range(index, next_index))
    return indexes


def _is_inline(statement: Statement, section: str) -> bool:
    """Whether the section is an inline table, so that all entries are in this one statement."""
    if statement.table or statement.path[:1] != (section,):
        return False
    return isinstance(tomlkit.parse(statement.text).get(section), InlineTable)


def _check_result(after: str, document: dict[str, Any], section: str, servers: dict[str, Any]) -> str:
    """Return `after` if its section has exactly these servers and all else is as in `document`."""
    others = {key: value for key, value in document.items() if key != section}
    result = parse(after)
    if result.pop(section, {}) != servers or result != others:
        raise ConfigTextError(f"{section} is written in a way that cannot be edited safely")
    return after
