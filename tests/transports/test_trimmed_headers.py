"""Blanks around a header's value are no part of it, whichever parser uvicorn uses."""

from typing import Any

import pytest
from starlette.types import Message

from cyberun_mcp.transports.edge.trimmed_headers import TrimmedHeaders


@pytest.mark.parametrize("sent", [b"list_workflows", b" list_workflows", b"list_workflows \t"])
async def test_a_value_is_handed_on_without_the_blanks_around_it(sent: bytes) -> None:
    seen: list[Any] = []

    async def inner(scope: Any, *_: Any) -> None:
        seen.extend(scope["headers"])

    async def nothing(*_: Any) -> Message:
        return {}

    scope = {"type": "http", "headers": [(b"mcp-name", sent), (b"x", b"a b")]}
    await TrimmedHeaders(inner)(scope, nothing, nothing)  # type: ignore[arg-type]
    assert seen == [(b"mcp-name", b"list_workflows"), (b"x", b"a b")]
