"""How much one message may hold. More would freeze the endpoint, or fill its memory, for the other callers."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from cyberun_mcp.http.request_parsing import MOST_BRACKETS, MOST_VALUES
from tests.http.in_memory import caller_of
from tests.http.one_tool_server import Stage
from tests.http.processes.calls import request

TOO_LARGE = {"code": -32600, "message": "Invalid request: the message holds too many values outside its arguments"}


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with caller_of(Stage().asgi) as client:
        yield client


@pytest.mark.parametrize(
    "extra",
    [
        {"inputResponses": {f"k{number}": {} for number in range(MOST_VALUES)}},
        {"x": {"arguments": [[] for _ in range(MOST_VALUES)]}},
        {"x": [[] for _ in range(MOST_VALUES)]},
        {"x": [[[[number] for number in range(40)] for _ in range(40)]]},
    ],
    ids=["answers nobody asked for", "arguments elsewhere", "a long list", "many short lists"],
)
async def test_a_message_that_holds_much_besides_its_arguments_is_refused(
    client: httpx2.AsyncClient, era: str, extra: dict[str, Any]
) -> None:
    sent = request(era, "any", {})
    sent["json"]["params"] |= extra
    answer = await client.post("/mcp", **sent)
    assert answer.json()["error"] == TOO_LARGE


@pytest.mark.parametrize("where", [(), ("params", "_meta")])
async def test_that_holds_for_every_part_of_the_message(
    client: httpx2.AsyncClient, era: str, where: tuple[str, ...]
) -> None:
    sent = request(era, "any", {})
    part = sent["json"]
    for name in where:
        part = part.setdefault(name, {})
    part |= {f"k{number}": 1 for number in range(MOST_VALUES)}
    answer = await client.post("/mcp", **sent)
    assert answer.json()["error"] == TOO_LARGE


async def test_arguments_may_hold_many_values(client: httpx2.AsyncClient, era: str) -> None:
    answer = await client.post("/mcp", **request(era, "any", {"numbers": list(range(50 * MOST_VALUES))}))
    assert answer.json()["result"]["content"] == []


async def test_arguments_with_more_objects_and_lists_than_memory_is_for_are_refused_unread(
    client: httpx2.AsyncClient, era: str
) -> None:
    sent = request(era, "any", {"lists": [[] for _ in range(MOST_BRACKETS)]})
    answer = await client.post("/mcp", **sent)
    assert answer.json()["error"]["message"] == f"Invalid request: more than {MOST_BRACKETS:,} objects and lists"
