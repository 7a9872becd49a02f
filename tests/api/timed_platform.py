"""Shared by the tests of waiting: a platform whose responses depend on the time, and runs on a virtual clock."""

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
    """Records the time of each request. Task t1 runs until `ends_at`; then it is completed."""

    def __init__(self, ends_at: float = float("inf")) -> None:
        super().__init__()
        self.ends_at = ends_at
        self._log: list[tuple[float, str]] = []
        self.on("GET", TASK, lambda _: httpx2.Response(200, json=self.task()))
        self.on("GET", f"{TASK}/result", {"id": "t1", "task_status": "completed", "task_output": OUTPUT})

    def task(self) -> dict[str, Any]:
        completed = anyio.current_time() >= self.ends_at
        return {"id": "t1", "task_status": "completed" if completed else "running"}

    def stream(self, script: Script) -> None:
        """Respond to each request for the events of t1 with the text of `script`."""

        async def body() -> AsyncIterator[bytes]:
            async for text in script():
                yield text.encode()

        headers = {"Content-Type": "text/event-stream"}
        self.on("GET", EVENTS, lambda _: httpx2.Response(200, headers=headers, content=body()))

    def request_times(self, path: str) -> list[float]:
        """The times of the requests for `path`, in seconds since the start, rounded to a tenth."""
        return [round(time, 1) for time, requested in self._log if requested == path]

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        self._log.append((anyio.current_time(), request.url.path.removeprefix("/api/v1")))
        return super()._respond(request)


def event_stream(*pieces: str, every: float, again: str = "") -> Script:
    """A stream of `pieces`, each after a pause of `every` seconds, and then of `again` without end.

    Without `again` the stream stays open and silent.
    """

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


def run_with_client(
    platform: FakePlatform, era: str, program: Callable[[Client], Awaitable[Result]], **settings: Any
) -> tuple[Result, float]:
    """Run `program` with a client of our server, on a virtual clock. Returns its result and the seconds it took."""

    async def run() -> tuple[Result, float]:
        async with connected(platform, era, **settings) as client:
            began = anyio.current_time()
            return await program(client), anyio.current_time() - began

    return run_at_once(run)


async def wait_for_task(client: Client, seconds: int = 60) -> CallToolResult:
    return await client.call_tool("stream_task_events", {"task_id": "t1", "timeout_seconds": seconds})
