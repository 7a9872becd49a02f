"""Logs are lines: what a stranger wrote cannot begin one, move a terminal's cursor or turn the text around."""

import json
import logging
import sys
import unicodedata

import pytest

from cyberun_mcp.observability.logs import JsonFormatter
from cyberun_mcp.redaction import RedactingFormatter

TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
UNSAFE = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Zl", "Zp")] + [*TURNING]
HARMLESS = "größer 図 🦊 👩\u200d💻 \u00a0 a\u0301"


def record(message: str, error: Exception | None = None) -> logging.LogRecord:
    exc_info = None
    if error is not None:
        try:
            raise error
        except type(error):
            exc_info = sys.exc_info()
    return logging.LogRecord("n", logging.INFO, "p", 1, "task %s", (message,), exc_info)


def formatters() -> list[logging.Formatter]:
    return [RedactingFormatter("%(message)s"), JsonFormatter()]


@pytest.mark.parametrize("formatter", formatters(), ids=["text", "json"])
@pytest.mark.parametrize("character", UNSAFE, ids=lambda character: f"U+{ord(character):04X}")
def test_no_control_separator_or_turning_mark_reaches_a_log_raw(formatter: logging.Formatter, character: str) -> None:
    line = formatter.format(record(f"1{character}FAKE"))
    assert character not in line
    assert len(line.splitlines()) == 1
    assert "FAKE" in line


@pytest.mark.parametrize("formatter", formatters(), ids=["text", "json"])
def test_ordinary_text_is_logged_as_it_is(formatter: logging.Formatter) -> None:
    assert HARMLESS in formatter.format(record(HARMLESS))


@pytest.mark.parametrize("character", UNSAFE, ids=lambda character: f"U+{ord(character):04X}")
def test_a_json_line_still_says_what_was_logged(character: str) -> None:
    assert json.loads(JsonFormatter().format(record(f"1{character}2")))["message"] == f"task 1{character}2"


def test_a_traceback_cannot_begin_a_line_of_the_log_either() -> None:
    hostile = ValueError("1\n2026-01-01 INFO cyberun_mcp FAKE\u2028FAKE\x9b31m\u202e")
    text = RedactingFormatter("%(message)s").format(record("t1", hostile))
    first, *rest = text.split("\n")
    assert first == "task t1"
    assert rest
    assert all(line.startswith("  ") for line in rest)
    assert not {*text} & {*UNSAFE} - {"\n"}
