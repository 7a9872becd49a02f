"""What the tests of waiting share: a platform whose answers depend on the time, and a clock that jumps."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import anyio
import httpx2
from mcp import Client
from mcp_types import CallToolResult

from tests.fake_platform import FakePlatform, connected
from tests.properties.virtual_clock import run_at_once

EVENTS = "/r/tasks/t1/events"
TASK = "/r/tasks/t1"
OUTPUT = {"storage_key": "tasks/t1/output.png"}
COMMENT = ": still here\n\n"

Result = TypeVar("Result")
Script = Callable[[], AsyncIterator[str]]


class TimedPlatform(FakePlatform):
    """Knows when it was asked for what. Task t1 runs until `ends_at`, and then it is completed."""

    def __init__(self, ends_at: float = float("inf")) -> None:
        super().__init__()
        self.ends_at = ends_at
        self._log: list[tuple[float, str]] = []
        self.on("GET", TASK, lambda _: httpx2.Response(200, json=self.task()))
        self.on("GET", f"{TASK}/result", {"id": "t1", "task_status": "completed", "task_output": OUTPUT})

    def task(self) -> dict[str, Any]:
        over = anyio.current_time() >= self.ends_at
        return {"id": "t1", "task_status": "completed" if over else "running"}

    def streams(self, script: Script) -> None:
        """Answer each request for the events of t1 with what the script says."""

        async def body() -> AsyncIterator[bytes]:
            async for text in script():
                yield text.encode()

        headers = {"Content-Type": "text/event-stream"}
        self.on("GET", EVENTS, lambda _: httpx2.Response(200, headers=headers, content=body()))

    def asked_at(self, path: str) -> list[float]:
        """When something was asked for, in seconds since the beginning, to the tenth."""
        return [round(at, 1) for at, asked in self._log if asked == path]

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self._log.append((anyio.current_time(), request.url.path.removeprefix("/api/v1")))
        return super()._answer(request)


def says(*pieces: str, every: float, again: str = "") -> Script:
    """A stream that says one piece after the other, with a pause before each, and then the same again for ever."""

    async def script() -> AsyncIterator[str]:
        for piece in pieces:
            await anyio.sleep(every)
            yield piece
        while again:
            await anyio.sleep(every)
            yield again
        await anyio.sleep_forever()

    return script


def event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def play(
    platform: FakePlatform, era: str, program: Callable[[Client], Awaitable[Result]], **settings: Any
) -> tuple[Result, float]:
    """What a program makes of a client of our server, and how many seconds it took, on a clock that jumps."""

    async def run() -> tuple[Result, float]:
        async with connected(platform, era, **settings) as client:
            began = anyio.current_time()
            return await program(client), anyio.current_time() - began

    return run_at_once(run)


async def waiting(client: Client, seconds: int = 60) -> CallToolResult:
    return await client.call_tool("stream_task_events", {"task_id": "t1", "timeout_seconds": seconds})
