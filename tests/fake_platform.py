"""A platform without sockets: canned responses by method and path, and a record of the requests."""

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

Respond = Callable[[httpx2.Request], httpx2.Response]


class FakePlatform:
    """Sends the responses that `on` has set, else a 404 like the platform's."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self._responses: dict[tuple[str, str], Respond] = {}

    def on(self, method: str, path: str, response: Any = None, *, status: int = 200) -> None:
        """Respond to `method` on `path` (below the base URL) with JSON, or with the result of a function."""
        respond: Respond = response if callable(response) else lambda _: httpx2.Response(status, json=response)
        self._responses[method, path] = respond

    def on_events(self, task_id: str, *events: tuple[str, dict[str, Any]]) -> None:
        """Respond to the event stream of a task with these events, then end it."""
        text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
        headers = {"Content-Type": "text/event-stream"}
        self.on("GET", f"/r/tasks/{task_id}/events", lambda _: httpx2.Response(200, text=text, headers=headers))

    @property
    def request_lines(self) -> list[str]:
        """The requests, as "METHOD path?query" with the path as it was on the wire."""
        prefix = httpx2.URL(BASE_URL).raw_path.decode()
        return [f"{request.method} {request.url.raw_path.decode().removeprefix(prefix)}" for request in self.requests]

    def last_body(self) -> Any:
        """The JSON body of the last request that had one."""
        return json.loads(next(request.content for request in reversed(self.requests) if request.content))

    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self._respond)

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        path = request.url.raw_path.decode().partition("?")[0].removeprefix(httpx2.URL(BASE_URL).raw_path.decode())
        respond = self._responses.get((request.method, path))
        return respond(request) if respond else httpx2.Response(404, json={"error_message": "resource not found"})


@asynccontextmanager
async def connected(platform: FakePlatform, era: str, key: str | None = KEY, **settings: Any) -> AsyncIterator[Client]:
    """An SDK client of our server in the given era; the server sends its requests to `platform`."""
    all_settings = Settings(api_key=key, base_url=BASE_URL, **settings)
    server = build_server(
        all_settings,
        lambda _: credential_from(all_settings.api_key, all_settings.team_id),
        transport=platform.transport(),
    )
    async with Client(server, mode=era, cache=None) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    """The first text block of a result."""
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


def structured(result: CallToolResult) -> dict[str, Any]:
    """The structured content of a successful result; asserts that the text block has the same JSON."""
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    content: dict[str, Any] = result.structured_content
    assert json.loads(text_of(result)) == content
    return content


def error_text(result: CallToolResult) -> str:
    """The text of a failed call; asserts that there is no structured content."""
    assert result.is_error
    assert result.structured_content is None
    return text_of(result)
