"""Odd response bodies, from the platform or from a proxy in front of it, do no harm."""

import time
from typing import Any

import httpx2
import pytest

from cyberun_mcp.api.responses import error_from, parse_json, parse_object
from cyberun_mcp.errors import ApiError, UnexpectedResponse


def error_text_for(body: bytes, content_type: str = "text/html") -> str:
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
def test_json_that_cannot_be_serialized_again_is_replaced_or_rejected(body: bytes | str, value: Any) -> None:
    assert parse_json(body) == value


def test_a_response_that_is_not_an_object_is_quoted() -> None:
    with pytest.raises(UnexpectedResponse, match="not a JSON object but application/json: \\[1\\]"):
        parse_object(200, "application/json; charset=utf-8", b"[1]")


@pytest.mark.parametrize("end", ["</style>", ""])
def test_the_quote_of_a_page_has_its_text_and_not_its_styles(end: str) -> None:
    page = f"<html><h1>Bad gateway</h1><style>p{{color:red}}{'x' * 20_000}{end}</html>"
    assert "color" not in error_text_for(page.encode())
    assert "text/html: Bad gateway" in error_text_for(page.encode())


def test_the_platforms_message_is_truncated_only_when_it_is_very_long() -> None:
    error = error_from(httpx2.Response(400), b'{"error_message": "' + b"x" * 2_000_000 + b'"}')
    assert isinstance(error, ApiError)
    assert len(str(error)) < 5_000


@pytest.mark.parametrize("piece", ["<", "<script", "<style>", "</", "<a ", "&"])
def test_the_time_for_a_hostile_page_is_proportional_to_its_length(piece: str) -> None:
    began = time.process_time()
    error_text_for((piece * 100_000).encode())
    error_text_for(b'{"odd": "' + (piece * 100_000).encode() + b'"}', "application/json")
    assert (
        time.process_time() - began < 30
    )  # CPU time; linear code takes a tenth of a second, anything else takes minutes
