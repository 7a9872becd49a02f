"""Edits JSON with comments: adds, replaces or removes one entry and leaves all other bytes as they are.

No maintained Python library keeps comments and layout. So the parser records where each member is, and an edit inserts
or deletes text there. The result is parsed again and compared before it is returned.
"""

import json
import re
from typing import Any

from cyberun_mcp.clients.jsonc_parser import (
    ConfigTextError,
    Value,
    parse,
    parse_with_positions,
    skip_space_and_comments,
)

__all__ = ["newline_of", "parse", "remove_entry", "set_entry"]


def set_entry(text: str, section: str, name: str, entry: dict[str, Any], *, comments: bool = True) -> str:
    """The text with `section`.`name` set to `entry`. Raises ConfigTextError."""
    text = text if text.strip("\ufeff \t\r\n") else "{}\n"
    root = _check_object(parse_with_positions(text, comments=comments), "the file")
    if section not in root.members:
        after = _insert(text, root, section, {name: entry}, depth=1)
        return _check_result(after, root, section, name, entry)
    servers = _check_object(root.members[section].value, section)
    if name not in servers.members:
        return _check_result(_insert(text, servers, name, entry, depth=2), root, section, name, entry)
    present = servers.members[name].value
    if present.python == entry:
        return text
    after = text[: present.start] + _to_json(text, entry, depth=2) + text[present.end :]
    return _check_result(after, root, section, name, entry)


def remove_entry(text: str, section: str, name: str, *, comments: bool = True) -> str:
    """The text without `section`.`name`, and without the section if it is then empty. Raises ConfigTextError."""
    if not text.strip("\ufeff \t\r\n"):
        return text
    root = _check_object(parse_with_positions(text, comments=comments), "the file")
    if section not in root.members:
        return text
    servers = _check_object(root.members[section].value, section)
    if name not in servers.members:
        return text
    remove_section = len(servers.members) == 1 and not _has_comment(text, servers, name)
    after = _delete(text, root, section) if remove_section else _delete(text, servers, name)
    return _check_result(after, root, section, name, None)


def newline_of(text: str) -> str:
    """The line end that the text uses."""
    return "\r\n" if "\r\n" in text else "\n"


def _check_object(value: Value, description: str) -> Value:
    if not isinstance(value.python, dict):
        raise ConfigTextError(f"{description} is not an object")
    return value


def _insert(text: str, parent: Value, key: str, value: Any, depth: int) -> str:
    """Insert a member after the last one and the comment that follows it."""
    newline, unit = newline_of(text), _indentation_of(text)
    member = f"{newline}{unit * depth}{json.dumps(key)}: {_to_json(text, value, depth)}"
    last_end = max((other.value.end for other in parent.members.values()), default=None)
    before = text[: parent.inner_end]
    if last_end is not None and not parent.trailing_comma:
        before = text[:last_end] + "," + text[last_end : parent.inner_end]
    rest = text[parent.inner_end :]
    brace_has_own_line = "\n" in rest[: parent.end - 1 - parent.inner_end]
    closing = "" if brace_has_own_line else newline + unit * (depth - 1)
    if closing:
        rest = rest.lstrip(" \t")
    return before + member + ("," if parent.trailing_comma else "") + closing + rest


def _delete(text: str, parent: Value, key: str) -> str:
    """Delete a member with its comma and the white space before it."""
    member = parent.members[key]
    ends_before = [other.value.end for other in parent.members.values() if other.value.end < member.start]
    is_last = not any(other.start > member.start for other in parent.members.values())
    end = member.value.end
    before = text[: member.start]
    if not is_last or parent.trailing_comma:
        comma = skip_space_and_comments(text, end)
        before, end = before + text[end:comma], comma + 1
    elif ends_before:
        comma = skip_space_and_comments(text, max(ends_before))
        before = text[:comma] + text[comma + 1 : member.start]
    return _join(before, text[end:], newline_of(text), opening=text[: parent.start + 1])


def _join(before: str, after: str, newline: str, opening: str) -> str:
    """Join the two parts without the white space between them, but keep a line end: it may end a comment."""
    kept = before.rstrip(" \t\r\n")
    had_newline = "\n" in before[len(kept) :]
    rest = after.lstrip(" \t")
    if kept == opening and rest.lstrip("\r\n").startswith("}"):
        return kept + rest.lstrip("\r\n")
    return kept + (newline if had_newline and not rest.startswith(("\n", "\r\n")) else "") + after


def _check_result(after: str, root: Value, section: str, name: str, entry: dict[str, Any] | None) -> str:
    """Return `after` if only the one entry differs from the document in `root`. Raises ConfigTextError."""
    servers = {key: value for key, value in root.python.get(section, {}).items() if key != name}
    if entry is not None:
        servers[name] = entry
    others = {key: value for key, value in root.python.items() if key != section}
    result = parse(after)
    other_results = {key: value for key, value in result.items() if key != section}
    if result.get(section, {}) != servers or other_results != others:
        raise ConfigTextError("its layout is too unusual to edit safely")
    return after


def _has_comment(text: str, parent: Value, key: str) -> bool:
    """Whether there is a comment in `parent` before or after its only member."""
    member = parent.members[key]
    around = text[parent.start + 1 : member.start] + text[member.value.end : parent.end - 1]
    return bool(around.strip(" \t\r\n,"))


def _to_json(text: str, value: Any, depth: int) -> str:
    unit = _indentation_of(text)
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", newline_of(text) + unit * depth)


def _indentation_of(text: str) -> str:
    match = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return match[1] if match else "  "
