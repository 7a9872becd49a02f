"""TOML cut into its statements, each with the keys it is about."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cyberun_mcp.clients.jsonc import Unreadable

Keys = tuple[str, ...]

_MARK = "\ufeff"  # which some editors write first
# What decides where a statement ends: strings of four kinds, comments, brackets, line ends.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'" r"|#[^\n]*" r"|[\[\]{}\n]",
    re.DOTALL,
)


@dataclass(frozen=True)
class Statement:
    """One header, one key with its value, or a line that is blank or a comment."""

    text: str
    table: Keys
    """The table it stands in, or begins."""
    about: Keys
    """The table it begins, or the key it sets, from the root on; empty for a blank line or a comment."""


def loads(text: str) -> dict[str, Any]:
    """What `text` says. Raises Unreadable."""
    try:
        return tomllib.loads(text.removeprefix(_MARK))
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(str(error)) from error
    except RecursionError as error:
        raise Unreadable("nested too deeply") from error


def statements_of(text: str) -> Iterator[Statement]:
    """The statements of `text`, which together are `text`. Raises Unreadable."""
    table: Keys = ()
    for piece in _pieces(text):
        keys = _keys(loads(piece))
        if piece.lstrip(" \t").startswith("["):
            table = keys
            yield Statement(piece, table, table)
        else:
            yield Statement(piece, table, table + keys if keys else ())


def _pieces(text: str) -> Iterator[str]:
    """`text` cut behind each line end that ends a statement."""
    start = len(text) - len(text.removeprefix(_MARK))
    yield text[:start]
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
        if token[0] == "\n" and not depth:
            yield text[start : token.end()]
            start = token.end()
    yield text[start:]


def _keys(said: Any) -> Keys:
    """The keys on the way down to the first value that is not a table of one."""
    if not isinstance(said, dict) or len(said) != 1:
        return ()
    [(key, value)] = said.items()
    return (key, *_keys(value))
