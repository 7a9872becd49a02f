"""Parses JSON, with or without comments and trailing commas, and records where each value is in the text."""

import json
import re
from dataclasses import dataclass, field
from typing import Any


class ConfigTextError(ValueError):
    """The text is not valid, or cannot be edited safely. The message says where or why."""


@dataclass
class Value:
    """A value and its position: `text[start:end]`. `python` is the value as `json.loads` returns it.

    For an object, `inner_end` is the end of its last member, comma or comment.
    """

    start: int
    end: int
    python: Any
    members: "dict[str, Member]" = field(default_factory=dict)
    inner_end: int = 0
    trailing_comma: bool = False


@dataclass
class Member:
    """A member of an object. `start` is the position of its key."""

    start: int
    value: Value


_SPACE_AND_COMMENTS = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n\ufeff]*")


def parse(text: str, *, comments: bool = True) -> Any:
    """The document as `json.loads` returns it. Without `comments`, only plain JSON. Raises ConfigTextError."""
    return parse_with_positions(text, comments=comments).python


def parse_with_positions(text: str, *, comments: bool = True) -> Value:
    """The document with the positions of all members. Raises ConfigTextError."""
    return _Parser(text, comments).parse_document()


def skip_space_and_comments(text: str, position: int) -> int:
    """The first position from `position` on that is neither white space nor part of a comment."""
    match = _SPACE_AND_COMMENTS.match(text, position)
    return match.end() if match else position


def _reject_constant(name: str) -> None:
    """`json` calls this for NaN and Infinity."""
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)


class _Parser:
    """A recursive descent parser; `json` decodes the strings, numbers and literals."""

    def __init__(self, text: str, comments: bool) -> None:
        self._text = text
        self._comments = comments
        self._space = _SPACE_AND_COMMENTS if comments else _SPACE

    def parse_document(self) -> Value:
        try:
            value = self._parse_value(self._skip_space(0))
        except RecursionError as error:
            raise ConfigTextError("nested too deeply") from error
        end = self._skip_space(value.end)
        if end != len(self._text):
            raise self._error("nothing more", end)
        return value

    def _skip_space(self, position: int) -> int:
        match = self._space.match(self._text, position)
        return match.end() if match else position

    def _parse_value(self, position: int) -> Value:
        first = self._text[position : position + 1]
        if first == "{":
            return self._parse_object(position)
        if first == "[":
            return self._parse_array(position)
        value, end = self._parse_scalar(position)
        return Value(position, end, value)

    def _parse_object(self, start: int) -> Value:
        result = Value(start, start, {}, inner_end=start + 1)
        position = self._skip_space(start + 1)
        while self._text[position : position + 1] != "}":
            if self._text[position : position + 1] != '"':
                raise self._error("a name in quotes", position)
            key, end = self._parse_scalar(position)
            if key in result.members:
                raise self._error(f"{key!r} only once", position)
            value = self._parse_value(self._skip_space(self._expect(":", self._skip_space(end))))
            result.members[key] = Member(position, value)
            result.python[key] = value.python
            position, result.trailing_comma = self._next_item(value.end, "}")
        if not result.members:
            result.trailing_comma = False
        result.end = position + 1
        result.inner_end = max(start + 1, len(self._text[:position].rstrip(" \t\r\n")))
        return result

    def _parse_array(self, start: int) -> Value:
        items = []
        position = self._skip_space(start + 1)
        while self._text[position : position + 1] != "]":
            value = self._parse_value(position)
            items.append(value.python)
            position, _ = self._next_item(value.end, "]")
        return Value(start, position + 1, items)

    def _next_item(self, position: int, closing: str) -> tuple[int, bool]:
        """The position of the next item or of the closing bracket, and whether there is a comma before it."""
        position = self._skip_space(position)
        if self._text[position : position + 1] == closing:
            return position, False
        comma = position
        position = self._skip_space(self._expect(",", position))
        if self._text[position : position + 1] == closing and not self._comments:
            raise self._error("no comma before the end", comma)
        return position, True

    def _parse_scalar(self, position: int) -> tuple[Any, int]:
        try:
            return _DECODER.raw_decode(self._text, position)
        except ValueError as error:
            raise self._error("a value", position) from error

    def _expect(self, character: str, position: int) -> int:
        if self._text[position : position + 1] != character:
            raise self._error(repr(character), position)
        return position + 1

    def _error(self, expected: str, position: int) -> ConfigTextError:
        line = self._text.count("\n", 0, position) + 1
        column = position - self._text.rfind("\n", 0, position)
        return ConfigTextError(f"line {line} column {column}: expected {expected}")
