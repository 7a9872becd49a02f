"""Where faults are played: real server processes between SDK clients and the faulty platform.

A test names what it calls and how the platform answers with `@scene`; its `outcome` is what came of it. All scenes of
a run are played at the same time, over each channel, because most of their time is waiting.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.faults.exchange import Seen
from tests.faults.platform import FaultyPlatform, Script

KEY = "sk-canary0123456789abcdef"
CHANNELS = ["stdio-legacy", "stdio-auto", "http-legacy", "http-auto"]
COMMAND = str(Path(sys.executable).with_name("cyberun-mcp"))

# Small, so that no test sleeps for long, and yet far apart, so that each can be told from the others.
IDLE, POLL, REQUEST, CALL = 1.0, 0.3, 2.0, 6.0
STAGGER = 0.05  # seconds between two scenes, so that the machine is not what they fail on
SETTINGS = {
    "CYBERUN_EVENTS_IDLE": str(IDLE),
    "CYBERUN_POLL_INTERVAL": str(POLL),
    "CYBERUN_REQUEST_TIMEOUT": str(REQUEST),
    "CYBERUN_CALL_TIMEOUT": str(CALL),
    "CYBERUN_CONNECT_TIMEOUT": "1",
    "CYBERUN_POOL_TIMEOUT": "1",
}

TestFunction = Callable[..., None]


@dataclass(frozen=True)
class Scene:
    """One tool call, with the id it is about as `{id}` in its arguments, and the scripts that answer."""

    fault: str
    tool: str
    arguments: dict[str, Any]
    scripts: dict[str, Script]


def scene(tool: str, arguments: dict[str, Any], **scripts: Script) -> Callable[[TestFunction], TestFunction]:
    """Have the decorated test's `outcome` be that of calling `tool`; `itself` is the script of the thing itself."""

    def attach(test: TestFunction) -> TestFunction:
        parts = {"" if part == "itself" else part: script for part, script in scripts.items()}
        test.scene = Scene(test.__name__.removeprefix("test_"), tool, arguments, parts)  # type: ignore[attr-defined]
        return test

    return attach


@dataclass(frozen=True)
class Told:
    """One progress notification."""

    at: float
    value: float
    total: float | None
    message: str | None


@dataclass
class Outcome:
    """What came of one call: the answer, what was told meanwhile, and what the platform saw of it."""

    id: str
    platform: FaultyPlatform
    began: float = field(default_factory=time.monotonic)
    took: float = 0.0
    told: list[Told] = field(default_factory=list)
    result: CallToolResult = field(default_factory=lambda: CallToolResult(content=[]))

    @property
    def answer(self) -> dict[str, Any]:
        """The structured content of a call that did not fail."""
        assert not self.result.is_error, self.text
        assert self.result.structured_content is not None
        answer: dict[str, Any] = self.result.structured_content
        return answer

    @property
    def refusal(self) -> str:
        """The text of a call that failed."""
        assert self.result.is_error, self.text
        return self.text

    @property
    def text(self) -> str:
        [first, *_] = self.result.content
        assert isinstance(first, TextContent)
        return first.text

    def seen(self, part: str) -> list[Seen]:
        return self.platform.seen(self.id, part)

    @property
    def runs(self) -> list[dict[str, Any]]:
        return self.platform.runs_of(self.id)

    async def note(self, progress: float, total: float | None, message: str | None) -> None:
        self.told.append(Told(time.monotonic(), progress, total, message))


async def call(client: Client, platform: FaultyPlatform, identifier: str, tool: str, arguments: Any) -> Outcome:
    """Call a tool, and keep all that happens."""
    outcome = Outcome(identifier, platform)
    outcome.result = await client.call_tool(tool, filled_in(arguments, identifier), progress_callback=outcome.note)
    outcome.took = time.monotonic() - outcome.began
    return outcome


def filled_in(arguments: dict[str, Any], identifier: str) -> dict[str, Any]:
    return {name: identifier if value == "{id}" else value for name, value in arguments.items()}


async def play(scenes: list[Scene], platform: FaultyPlatform, endpoint: str) -> dict[str, dict[str, Outcome]]:
    """The outcomes of all scenes, by channel and fault."""
    outcomes: dict[str, dict[str, Outcome]] = {channel: {} for channel in CHANNELS}

    async def play_one(client: Client, channel: str, one: Scene, after: float) -> None:
        await anyio.sleep(after)
        identifier = f"{one.fault}.{channel}"
        outcomes[channel][one.fault] = await call(client, platform, identifier, one.tool, one.arguments)

    async def play_over(channel: str) -> None:
        async with connected(channel, platform.base_url, endpoint) as client, anyio.create_task_group() as calls:
            for number, one in enumerate(scenes):
                calls.start_soon(play_one, client, channel, one, number * STAGGER)

    async with anyio.create_task_group() as channels:
        for channel in CHANNELS:
            channels.start_soon(play_over, channel)
    return outcomes


@asynccontextmanager
async def connected(
    channel: str, base_url: str, endpoint: str, log: TextIO | None = None, /, **environment: str
) -> AsyncIterator[Client]:
    """An SDK client over `channel`: of a stdio server of its own, or of the HTTP server at `endpoint`."""
    transport, _, era = channel.partition("-")
    if transport == "http":
        async with (
            httpx2.AsyncClient(
                headers={"Authorization": f"Bearer {KEY}"}, timeout=60, limits=httpx2.Limits(max_connections=None)
            ) as http,
            Client(streamable_http_client(endpoint, http_client=http), mode=era, cache=None) as client,
        ):
            yield client
    else:
        env = environment_for(base_url, CYBERUN_API_KEY=KEY, **environment)
        server = StdioServerParameters(command=COMMAND, env=env)
        async with Client(
            stdio_client(server, errlog=log or cast("TextIO", sys.__stderr__)), mode=era, cache=None
        ) as client:
            yield client


@contextmanager
def http_server(base_url: str, log: TextIO | None = None, /, **environment: str) -> Iterator[str]:
    """A `cyberun-mcp http` process before the platform at `base_url`; its endpoint."""
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as own_log:
        stderr = log or own_log
        process = subprocess.Popen(
            [COMMAND, "http", "--port", "0"],
            stderr=stderr,
            env={**os.environ, **environment_for(base_url, **environment)},
        )
        try:
            yield _endpoint_in(Path(stderr.name), process)
        finally:
            process.terminate()
            process.wait()


def environment_for(base_url: str, **more: str) -> dict[str, str]:
    return {"CYBERUN_BASE_URL": base_url, **SETTINGS, **more}


def _endpoint_in(log: Path, process: "subprocess.Popen[bytes]") -> str:
    while process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if line.startswith("MCP endpoint: "):
                return line.split()[2]
        time.sleep(0.02)
    raise RuntimeError(log.read_text(encoding="utf-8"))
