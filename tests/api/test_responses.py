"""What the platform, or whatever stands in for it, may send without harming anyone."""

import time
from typing import Any

import httpx2
import pytest

from cyberun_mcp.api.responses import error_from, parse_json, parse_object
from cyberun_mcp.errors import ApiError, UnexpectedResponse


def refused(body: bytes, content_type: str = "text/html") -> str:
    return str(error_from(httpx2.Response(503, headers={"Content-Type": content_type}), body))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": NaN, "b": [Infinity, -Infinity]}', {"a": None, "b": [None, None]}),
        (b'{"a": 1e999, "b": 1.5}', {"a": None, "b": 1.5}),
        (rb'{"a": "x\ud800y", "\udfff": "\ud83e\udd8a"}', {"a": "x?y", "?": "🦊"}),
        ('{"a": "\\ud800"}', {"a": "?"}),
        (b"[" * 100_000, None),
        (b'{"a": ' + b"9" * 10_000 + b"}", None),
        (b"\xff\xfe{}", None),
        (b"", None),
    ],
)
def test_what_json_can_spell_but_nobody_can_carry_on_is_replaced_or_refused(body: bytes | str, value: Any) -> None:
    assert parse_json(body) == value


def test_an_answer_that_is_no_object_is_named() -> None:
    with pytest.raises(UnexpectedResponse, match="not a JSON object but application/json: \\[1\\]"):
        parse_object(200, "application/json; charset=utf-8", b"[1]")


@pytest.mark.parametrize("end", ["</style>", ""])
def test_a_page_is_quoted_by_its_words_not_its_styles(end: str) -> None:
    page = f"<html><h1>Bad gateway</h1><style>p{{color:red}}{'x' * 20_000}{end}</html>"
    assert "color" not in refused(page.encode())
    assert "text/html: Bad gateway" in refused(page.encode())


def test_the_platforms_message_is_verbatim_up_to_a_bound() -> None:
    error = error_from(httpx2.Response(400), b'{"error_message": "' + b"x" * 2_000_000 + b'"}')
    assert isinstance(error, ApiError)
    assert len(str(error)) < 5_000


@pytest.mark.parametrize("piece", ["<", "<script", "<style>", "</", "<a ", "&"])
def test_a_hostile_page_takes_time_in_proportion_to_its_length(piece: str) -> None:
    began = time.process_time()
    refused((piece * 100_000).encode())
    refused(b'{"odd": "' + (piece * 100_000).encode() + b'"}', "application/json")
    assert time.process_time() - began < 30  # a tenth of a second; where time grows faster than length, minutes
