"""The event reader returns the same events however the bytes are split, and survives any bytes."""

import json
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cyberun_mcp.api.events import LARGEST_EVENT, TaskState, read_events
from cyberun_mcp.api.responses import parse_json
from cyberun_mcp.errors import UnexpectedResponse
from tests.properties.json_values import OBJECTS, VALUES

Event = tuple[str, dict[str, Any]]
NAMES = ["status", "progress", "completed", "failed", "cancelled", "error", "tomorrow", "message"]
FIELDS = ["status", "progress", "step_current", "step_total", "current_node", "stage", "message", "output", "error"]
LINE_ENDS = ["\n", "\r\n", "\r"]

names = st.sampled_from(NAMES)
payloads = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5) | OBJECTS
line_ends = st.sampled_from(LINE_ENDS)
comments = st.sampled_from(["", ":\n\n", ": still here\n", "retry: 100\n", ":" + "x" * 100 + "\n\n"])
fragments = st.sampled_from(
    [
        b"event: ",
        b"data: ",
        b"data",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"{",
        b"}",
        b'{"progress": 1}',
        b"\xef\xbb\xbf",
        b":",
    ]
)
garbage = st.lists(fragments | st.binary(max_size=8), max_size=20).map(b"".join)


async def read(chunks: Sequence[bytes], content_type: str = "text/event-stream") -> list[Event] | str:
    """The events of a body that arrives in `chunks`, or the text of the reader's error."""

    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    request = httpx2.Request("GET", "https://cyberun.test/r/tasks/1/events")
    response = httpx2.Response(200, headers={"Content-Type": content_type}, content=body(), request=request)
    try:
        return [event async for event in read_events(response)]
    except UnexpectedResponse as error:
        return str(error)


def cut_at(body: bytes, places: Sequence[float]) -> list[bytes]:
    """`body` cut at fractions of its length."""
    edges = [0, *sorted(round(place * len(body)) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def serialized(events: Sequence[Event], line_end: str, comment: str, indent: int | None) -> bytes:
    """Events as a server may send them."""
    text = ""
    for name, data in events:
        lines = json.dumps(data, indent=indent, ensure_ascii=False).splitlines() if indent else [json.dumps(data)]
        text += comment + f"event: {name}\n" + "".join(f"data: {line}\n" for line in lines) + "\n"
    return ("\ufeff" + text.replace("\n", line_end)).encode("utf-8", "replace")


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(names, OBJECTS), max_size=5),
    line_ends,
    comments,
    st.lists(st.floats(0, 1), max_size=12),
)
def test_events_are_read_correctly_wherever_the_bytes_are_split(
    events: list[Event], line_end: str, comment: str, places: list[float]
) -> None:
    body = serialized(events, line_end, comment, indent=None)
    expected = [(name, parse_json(json.dumps(data))) for name, data in events]
    assert anyio.run(read, cut_at(body, places)) == expected


@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_events_are_read_correctly_byte_by_byte_and_over_many_lines(line_end: str) -> None:
    events: list[Event] = [
        ("progress", {"message": "größer 図 🦊", "progress": 0.5}),
        ("completed", {"output": {"a": [1, 2]}}),
    ]
    body = serialized(events, line_end, ": hello\n\n", indent=2)
    assert anyio.run(read, [bytes([byte]) for byte in body]) == events


@settings(deadline=None, max_examples=200)
@given(garbage, st.lists(st.floats(0, 1), max_size=8))
@example(b"data: {}\r", [0.5])
@example(b"data: " + b"[" * 100_000 + b"\n\n", [])
def test_garbage_is_read_the_same_however_it_is_split_and_raises_no_other_error(
    body: bytes, places: list[float]
) -> None:
    assert anyio.run(read, cut_at(body, places)) == anyio.run(read, [body])


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(names, payloads), max_size=6))
@example([("progress", {"progress": 10**400})])
@example([("progress", {"step_current": 10**400, "step_total": 3})])
@example([("progress", {"step_current": 1, "step_total": 0})])
@example([("progress", {"progress": float("nan")}), ("progress", {"progress": float("inf")})])
def test_no_event_can_put_a_task_into_an_impossible_state(events: list[Event]) -> None:
    state = TaskState("1")
    for name, data in events:
        state = state.after(name, data)
        assert state.progress is None or 0 <= state.progress <= 1
        assert state.output is None or isinstance(state.output, dict)
        if name in ("completed", "failed", "cancelled"):
            assert state.task_status == name
        if name in ("tomorrow", "message", "error"):
            assert state == state.after(name, data)


@pytest.mark.parametrize("comment", [b"", b": "])
def test_an_endless_event_is_an_error_at_the_size_limit(comment: bytes) -> None:
    def endless() -> list[bytes]:
        return [comment + b"data: ", *[b"x" * 65_536] * (20 * 16)]

    error_text = anyio.run(read, endless())
    assert isinstance(error_text, str)
    assert f"{LARGEST_EVENT} byte limit" in error_text


@pytest.mark.parametrize("content_type", ["text/html", "application/json", ""])
def test_another_content_type_is_an_error_that_names_the_expected_one(content_type: str) -> None:
    assert "text/event-stream" in anyio.run(read, [b"event: completed\ndata: {}\n\n"], content_type)
