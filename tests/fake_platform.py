"""A platform without sockets: canned answers by method and path, and a record of what was asked."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp_types import CallToolResult, TextContent

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings

KEY = "sk-canary0123456789abcdef"
BASE_URL = "https://cyberun.test/api/v1"

Reply = Callable[[httpx2.Request], httpx2.Response]


class FakePlatform:
    """Answers with what `on` has put there, else 404 in the platform's own words."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self._replies: dict[tuple[str, str], Reply] = {}

    def on(self, method: str, path: str, reply: Any = None, *, status: int = 200) -> None:
        """Answer `method` on `path` (below the base URL) with JSON, or with what a function of the request gives."""
        answer: Reply = reply if callable(reply) else lambda _: httpx2.Response(status, json=reply)
        self._replies[method, path] = answer

    def on_events(self, task_id: str, *events: tuple[str, dict[str, Any]]) -> None:
        """Answer the event stream of a task with these events, then end it."""
        text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
        headers = {"Content-Type": "text/event-stream"}
        self.on("GET", f"/r/tasks/{task_id}/events", lambda _: httpx2.Response(200, text=text, headers=headers))

    @property
    def asked(self) -> list[str]:
        """What was asked, as "METHOD path?query" with the path as it was on the wire."""
        prefix = httpx2.URL(BASE_URL).raw_path.decode()
        return [f"{each.method} {each.url.raw_path.decode().removeprefix(prefix)}" for each in self.requests]

    def sent(self) -> Any:
        """The JSON body of the last request that had one."""
        return json.loads(next(each.content for each in reversed(self.requests) if each.content))

    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self._answer)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        path = request.url.raw_path.decode().partition("?")[0].removeprefix(httpx2.URL(BASE_URL).raw_path.decode())
        reply = self._replies.get((request.method, path))
        return reply(request) if reply else httpx2.Response(404, json={"error_message": "resource not found"})


@asynccontextmanager
async def connected(platform: FakePlatform, era: str, key: str | None = KEY, **settings: Any) -> AsyncIterator[Client]:
    """An SDK client of our server in the given era, with `platform` behind it."""
    chosen = Settings(api_key=key, base_url=BASE_URL, **settings)
    server = build_server(
        chosen, lambda _: credential_from(chosen.api_key, chosen.team_id), transport=platform.transport()
    )
    async with Client(server, mode=era, cache=None) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    """The first text block of an answer."""
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


def structured(result: CallToolResult) -> dict[str, Any]:
    """The structured content of a successful answer, checked to be what its text block says."""
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    answer: dict[str, Any] = result.structured_content
    assert json.loads(text_of(result)) == answer
    return answer


def refusal(result: CallToolResult) -> str:
    """The text of a failed call, checked to carry nothing structured."""
    assert result.is_error
    assert result.structured_content is None
    return text_of(result)
