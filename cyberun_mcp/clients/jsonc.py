"""JSON with comments and trailing commas, edited in place: one member comes or goes, every other byte stays.

No maintained Python library keeps comments and layout, so the text is scanned once for where its members stand, and the
edit is an insertion or a deletion there. The result is read back and compared before anyone may write it.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any


class Unreadable(ValueError):
    """The text is not what its notation allows; it says where."""


@dataclass
class _Value:
    """A value and the span it takes in the text."""

    start: int
    end: int
    python: Any
    members: "dict[str, _Member]" = field(default_factory=dict)
    inner_end: int = 0
    """Of an object: where its last member, comma or comment ends."""
    trailing_comma: bool = False


@dataclass
class _Member:
    start: int
    value: _Value


_SPACE = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRICT_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_SCALAR = json.JSONDecoder(parse_constant=lambda name: _refuse(name))


def loads(text: str, *, comments: bool = True) -> Any:
    """What `text` says; with `comments` false it has to be plain JSON. Raises Unreadable."""
    return _Scanner(text, comments).document().python


def set_entry(text: str, section: str, name: str, entry: dict[str, Any], *, comments: bool = True) -> str:
    """`text` with `section`.`name` set to `entry`. Raises Unreadable."""
    text = text if text.strip("\ufeff \t\r\n") else "{}\n"
    root = _object(_Scanner(text, comments).document(), "the file")
    if section not in root.members:
        return _checked(_insert(text, root, section, {name: entry}, depth=1), root, section, name, entry)
    servers = _object(root.members[section].value, section)
    if name not in servers.members:
        return _checked(_insert(text, servers, name, entry, depth=2), root, section, name, entry)
    present = servers.members[name].value
    if present.python == entry:
        return text
    after = text[: present.start] + _dumps(text, entry, depth=2) + text[present.end :]
    return _checked(after, root, section, name, entry)


def remove_entry(text: str, section: str, name: str, *, comments: bool = True) -> str:
    """`text` without `section`.`name`, and without the section if nothing else is in it. Raises Unreadable."""
    if not text.strip("\ufeff \t\r\n"):
        return text
    root = _object(_Scanner(text, comments).document(), "the file")
    if section not in root.members:
        return text
    servers = _object(root.members[section].value, section)
    if name not in servers.members:
        return text
    alone = len(servers.members) == 1 and not _has_comment(text, servers, name)
    after = _delete(text, root, section) if alone else _delete(text, servers, name)
    return _checked(after, root, section, name, None)


def _object(value: _Value, what: str) -> _Value:
    if not isinstance(value.python, dict):
        raise Unreadable(f"{what} is not an object")
    return value


def _insert(text: str, parent: _Value, key: str, value: Any, depth: int) -> str:
    """Behind the last member and whatever comment follows it."""
    line, unit = newline(text), _indent(text)
    member = f"{line}{unit * depth}{json.dumps(key)}: {_dumps(text, value, depth)}"
    last = max((each.value.end for each in parent.members.values()), default=None)
    before = text[: parent.inner_end]
    if last is not None and not parent.trailing_comma:
        before = text[:last] + "," + text[last : parent.inner_end]
    rest = text[parent.inner_end :]
    closing = "" if "\n" in rest[: parent.end - 1 - parent.inner_end] else line + unit * (depth - 1)
    if closing:
        rest = rest.lstrip(" \t")
    return before + member + ("," if parent.trailing_comma else "") + closing + rest


def _delete(text: str, parent: _Value, key: str) -> str:
    """With the comma that belonged to it, and the blanks before it."""
    member = parent.members[key]
    others = [each.value.end for each in parent.members.values() if each.value.end < member.start]
    follows = any(each.start > member.start for each in parent.members.values())
    end = member.value.end
    before = text[: member.start]
    if follows or parent.trailing_comma:
        end = _Scanner(text, comments=True).skip(end)
        before, end = before + text[member.value.end : end], end + 1
    elif others:
        comma = _Scanner(text, comments=True).skip(max(others))
        before = text[:comma] + text[comma + 1 : member.start]
    return _joined(before, text[end:], newline(text), opened=text[: parent.start + 1])


def _joined(before: str, after: str, line: str, opened: str) -> str:
    """Without the blanks between; but what ended a line still does, since that may have been a comment."""
    kept = before.rstrip(" \t\r\n")
    ended = "\n" in before[len(kept) :]
    follows = after.lstrip(" \t")
    if kept == opened and follows.lstrip("\r\n").startswith("}"):
        return kept + follows.lstrip("\r\n")
    return kept + (line if ended and not follows.startswith(("\n", "\r\n")) else "") + after


def _checked(after: str, root: _Value, section: str, name: str, entry: dict[str, Any] | None) -> str:
    """`after`, once it is sure to say what `root` said but for the one entry."""
    servers = {key: value for key, value in root.python.get(section, {}).items() if key != name}
    if entry is not None:
        servers[name] = entry
    wanted = {key: value for key, value in root.python.items() if key != section}
    said = loads(after)
    if said.get(section, {}) != servers or {key: each for key, each in said.items() if key != section} != wanted:
        raise Unreadable("its layout is too unusual to edit safely")
    return after


def _has_comment(text: str, parent: _Value, key: str) -> bool:
    member = parent.members[key]
    around = text[parent.start + 1 : member.start] + text[member.value.end : parent.end - 1]
    return bool(around.strip(" \t\r\n,"))


def _dumps(text: str, value: Any, depth: int) -> str:
    unit = _indent(text)
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", newline(text) + unit * depth)


def _indent(text: str) -> str:
    found = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return found[1] if found else "  "


def newline(text: str) -> str:
    """How the lines of `text` end."""
    return "\r\n" if "\r\n" in text else "\n"


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class _Scanner:
    """One pass over the text, noting where things stand."""

    def __init__(self, text: str, comments: bool) -> None:
        self._text = text
        self._lenient = comments
        self._space = _SPACE if comments else _STRICT_SPACE

    def document(self) -> _Value:
        try:
            value = self._value(self.skip(0))
        except RecursionError as error:
            raise Unreadable("nested too deeply") from error
        if self.skip(value.end) != len(self._text):
            raise self._error("nothing more", self.skip(value.end))
        return value

    def skip(self, place: int) -> int:
        """The first place from `place` on that is neither blank nor comment."""
        found = self._space.match(self._text, place)
        return found.end() if found else place

    def _value(self, place: int) -> _Value:
        first = self._text[place : place + 1]
        if first == "{":
            return self._object(place)
        if first == "[":
            return self._array(place)
        value, end = self._scalar(place)
        return _Value(place, end, value)

    def _object(self, start: int) -> _Value:
        whole = _Value(start, start, {}, inner_end=start + 1)
        place = self.skip(start + 1)
        while self._text[place : place + 1] != "}":
            if self._text[place : place + 1] != '"':
                raise self._error("a name in quotes", place)
            key, end = self._scalar(place)
            if key in whole.members:
                raise self._error(f"{key!r} only once", place)
            value = self._value(self.skip(self._expect(":", self.skip(end))))
            whole.members[key] = _Member(place, value)
            whole.python[key] = value.python
            place, whole.trailing_comma = self._next(value.end, "}")
        if not whole.members:
            whole.trailing_comma = False
        whole.end = place + 1
        whole.inner_end = max(start + 1, len(self._text[:place].rstrip(" \t\r\n")))
        return whole

    def _array(self, start: int) -> _Value:
        items = []
        place = self.skip(start + 1)
        while self._text[place : place + 1] != "]":
            value = self._value(place)
            items.append(value.python)
            place, _ = self._next(value.end, "]")
        return _Value(start, place + 1, items)

    def _next(self, place: int, closing: str) -> tuple[int, bool]:
        """Where the next item or the end is, and whether a comma stands before it."""
        place = self.skip(place)
        if self._text[place : place + 1] == closing:
            return place, False
        comma = place
        place = self.skip(self._expect(",", place))
        if self._text[place : place + 1] == closing and not self._lenient:
            raise self._error("no comma before the end", comma)
        return place, True

    def _scalar(self, place: int) -> tuple[Any, int]:
        try:
            return _SCALAR.raw_decode(self._text, place)
        except ValueError as error:
            raise self._error("a value", place) from error

    def _expect(self, sign: str, place: int) -> int:
        if self._text[place : place + 1] != sign:
            raise self._error(repr(sign), place)
        return place + 1

    def _error(self, expected: str, place: int) -> Unreadable:
        line = self._text.count("\n", 0, place) + 1
        column = place - self._text.rfind("\n", 0, place)
        return Unreadable(f"line {line} column {column}: expected {expected}")
