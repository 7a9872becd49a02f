"""Where faults are played: real server processes between SDK clients and the faulty platform.

A test names what it calls and how the platform answers with `@scene`. Its fixture `outcome` is what came of that over
each channel (stdio and HTTP, both eras, both HTTP parsers), with real processes and sockets. All scenes of a run are
played side by side, because most of their time is waiting. Nothing about an `outcome` may depend on how fast the
machine is. A claim about time needs the fixture `timed` instead, which plays its scene on a virtual clock
(`virtual.py`).
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from cyberun_mcp.settings import env_name
from tests.faults.exchange import Seen
from tests.faults.platform import FaultyPlatform, Script
from tests.parsers import environment_of

KEY = "sk-canary0123456789abcdef"
PARSERS = ["h11", "httptools"]
CHANNELS = [
    "stdio-legacy",
    "stdio-auto",
    *(f"http-{era}-{parser}" for parser in PARSERS for era in ("legacy", "auto")),
]
COMMAND = str(Path(sys.executable).with_name("cyberun-mcp"))

AT_ONCE = 8  # scenes played at a time over one channel; more would only slow each other down


@dataclass(frozen=True)
class Limits:
    """The settings of a server process that are times, in seconds."""

    events_idle: float
    poll_interval: float
    request_timeout: float
    call_timeout: float
    connect_timeout: float = 60.0
    pool_timeout: float = 60.0

    @property
    def environment(self) -> dict[str, str]:
        return {env_name(name): str(seconds) for name, seconds in asdict(self).items()}


# Reached by nothing that goes on, however slowly the machine works.
PATIENT = Limits(events_idle=300, poll_interval=0.05, request_timeout=300, call_timeout=600)
# For the scenes that need a limit to be reached. A slow machine reaches them too early now and then, and such a scene
# must end the same. They are far apart, so that on a virtual clock each can be told from the others.
IDLE, POLL, REQUEST, CALL = 1.0, 0.3, 3.0, 12.0
HASTY = Limits(IDLE, POLL, REQUEST, CALL)

TestFunction = Callable[..., None]


@dataclass(frozen=True)
class Scene:
    """One tool call, with the id it is about as `{id}` in its arguments, and the scripts that answer."""

    fault: str
    tool: str
    arguments: dict[str, Any]
    limits: Limits
    scripts: dict[str, Script]

    @property
    def keyed_scripts(self) -> dict[tuple[str, str], Script]:
        """The scripts as a platform takes them."""
        return {(self.fault, part): script for part, script in self.scripts.items()}


def scene(
    tool: str, arguments: dict[str, Any], limits: Limits = PATIENT, /, **scripts: Script
) -> Callable[[TestFunction], TestFunction]:
    """Have the decorated test's `outcome` be that of calling `tool`; `itself` is the script of the thing itself.

    `limits` are PATIENT, or HASTY where the scene needs one of the server's time limits to be reached.
    """

    def attach(test: TestFunction) -> TestFunction:
        parts = {"" if part == "itself" else part: script for part, script in scripts.items()}
        fault = test.__name__.removeprefix("test_")
        test.scene = Scene(fault, tool, arguments, limits, parts)  # type: ignore[attr-defined]
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
    """What came of one call: the answer, what was told meanwhile, and what the platform saw of it.

    All times (`began`, `took`, and `at` of what was told and seen) are the event loop's: exact when `timed`, else the
    machine's, and then nothing a test can be about.
    """

    id: str
    platform: FaultyPlatform
    began: float = field(default_factory=anyio.current_time)
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
        self.told.append(Told(anyio.current_time(), progress, total, message))


async def call(client: Client, platform: FaultyPlatform, identifier: str, tool: str, arguments: Any) -> Outcome:
    """Call a tool, and keep all that happens."""
    outcome = Outcome(identifier, platform)
    outcome.result = await client.call_tool(tool, filled_in(arguments, identifier), progress_callback=outcome.note)
    outcome.took = anyio.current_time() - outcome.began
    return outcome


def filled_in(arguments: dict[str, Any], identifier: str) -> dict[str, Any]:
    return {name: identifier if value == "{id}" else value for name, value in arguments.items()}


async def play(
    scenes: list[Scene], platform: FaultyPlatform, endpoints: Mapping[tuple[Limits, str], str]
) -> dict[str, dict[str, Outcome]]:
    """The outcomes of all scenes, by channel and fault; `endpoints` are the HTTP servers by their limits and parser."""
    outcomes: dict[str, dict[str, Outcome]] = {channel: {} for channel in CHANNELS}

    async def play_one(client: Client, channel: str, one: Scene, places: anyio.Semaphore) -> None:
        async with places:
            identifier = f"{one.fault}.{channel}"
            outcomes[channel][one.fault] = await call(client, platform, identifier, one.tool, one.arguments)

    async def play_over(channel: str, limits: Limits) -> None:
        places = anyio.Semaphore(AT_ONCE)
        endpoint = endpoints.get((limits, parts_of(channel)[2]), "")
        async with (
            connected(channel, platform.base_url, endpoint, **limits.environment) as client,
            anyio.create_task_group() as calls,
        ):
            for one in scenes:
                if one.limits == limits:
                    calls.start_soon(play_one, client, channel, one, places)

    async with anyio.create_task_group() as channels:
        for limits in {each.limits for each in scenes}:
            for channel in CHANNELS:
                channels.start_soon(play_over, channel, limits)
    return outcomes


@contextmanager
def http_servers(platform: FaultyPlatform, limits: set[Limits]) -> Iterator[dict[tuple[Limits, str], str]]:
    """The endpoints of one HTTP server for each of the limits and each parser."""
    with ExitStack() as servers:
        yield {
            (one, parser): servers.enter_context(
                http_server(platform.base_url, **one.environment, **environment_of(parser))
            )
            for one in limits
            for parser in PARSERS
        }


def parts_of(channel: str) -> tuple[str, str, str]:
    """Transport, era and HTTP parser of a channel; the last is "" where there is no HTTP."""
    transport, era, *parser = channel.split("-")
    return transport, era, "".join(parser)


@asynccontextmanager
async def connected(
    channel: str, base_url: str, endpoint: str, log: TextIO | None = None, /, **environment: str
) -> AsyncIterator[Client]:
    """An SDK client over `channel`: of a stdio server of its own, or of the HTTP server at `endpoint`."""
    transport, era, _ = parts_of(channel)
    if transport == "http":
        async with (
            httpx2.AsyncClient(
                headers={"Authorization": f"Bearer {KEY}"}, timeout=None, limits=httpx2.Limits(max_connections=None)
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
    return {"CYBERUN_BASE_URL": base_url, **PATIENT.environment, **more}


def _endpoint_in(log: Path, process: "subprocess.Popen[bytes]") -> str:
    while process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if line.startswith("MCP endpoint: "):
                return line.split()[2]
        time.sleep(0.02)
    raise RuntimeError(log.read_text(encoding="utf-8"))
