"""Splits TOML into its statements and finds the keys that each of them sets."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cyberun_mcp.clients.jsonc_parser import ConfigTextError

Keys = tuple[str, ...]

_BYTE_ORDER_MARK = "\ufeff"  # some editors write it at the start of a file
# The tokens that decide where a statement ends: the four kinds of strings, comments, brackets and line ends.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'" r"|#[^\n]*" r"|[\[\]{}\n]",
    re.DOTALL,
)


@dataclass(frozen=True)
class Statement:
    """A table header, a key with its value, or a line that is blank or a comment.

    `table` is the table that it is in, or whose header it is. `path` has all keys from the root to the table or value
    that it defines; it is empty for a blank line or a comment.
    """

    text: str
    table: Keys
    path: Keys


def parse(text: str) -> dict[str, Any]:
    """The document as `tomllib.loads` returns it. Raises ConfigTextError."""
    try:
        return tomllib.loads(text.removeprefix(_BYTE_ORDER_MARK))
    except tomllib.TOMLDecodeError as error:
        raise ConfigTextError(str(error)) from error
    except RecursionError as error:
        raise ConfigTextError("nested too deeply") from error


def split_statements(text: str) -> Iterator[Statement]:
    """The statements, whose texts together are `text`. Raises ConfigTextError."""
    table: Keys = ()
    for statement in _split(text):
        keys = _keys_of(parse(statement))
        if statement.lstrip(" \t").startswith("["):
            table = keys
            yield Statement(statement, table, table)
        else:
            yield Statement(statement, table, table + keys if keys else ())


def _split(text: str) -> Iterator[str]:
    """Split after each line end that ends a statement."""
    start = len(text) - len(text.removeprefix(_BYTE_ORDER_MARK))
    yield text[:start]
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
        if token[0] == "\n" and not depth:
            yield text[start : token.end()]
            start = token.end()
    yield text[start:]


def _keys_of(value: Any) -> Keys:
    """The keys from here down to the first value that is not a table with a single key."""
    if not isinstance(value, dict) or len(value) != 1:
        return ()
    [(key, inner)] = value.items()
    return (key, *_keys_of(inner))
