"""The demo: all fifteen tools at work, over real stdio, on the embedded platform.

Nothing in it is staged. `cyberun-mcp --emulator` runs as a process of its own, as an AI client would run it; the SDK's
client calls its tools; what comes back is shown, and what was produced is downloaded.
"""

import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

import anyio
import httpx2
from mcp import MCPError

from cyberun_mcp.demo.client import Assistant, DemoFailed, started_server
from cyberun_mcp.demo.screen import Screen
from cyberun_mcp.demo.walkthrough import tell

LONGEST = 120  # seconds; a demo takes about ten, so by then something hangs
LOG_LINES = 15  # of the server's log, shown when something went wrong


async def run_demo(output: Path, picture: Path | None) -> int:
    """Run the demo, its files going to `output` and its screen to `picture`; the exit status."""
    screen = Screen()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            problem = await _problem_on_the_way(screen, output, picture, log)
        except anyio.get_cancelled_exc_class():
            screen.stopped()
            raise
        if problem:
            screen.failed(problem, _end_of(log))
            return 1
    return 0


async def _problem_on_the_way(screen: Screen, output: Path, picture: Path | None, log: TextIO) -> str:
    """Walk through the demo; what went wrong, or nothing. Task groups wrap exceptions, hence `except*`."""
    problem = ""
    try:
        with anyio.fail_after(LONGEST):
            await _walk(screen, output, log)
        if picture is not None:
            screen.save(picture)
    except* TimeoutError:
        problem = f"no end in sight after {LONGEST} seconds"
    except* (DemoFailed, MCPError, httpx2.HTTPError, OSError) as failures:
        problem = _first_of(failures)
    return problem


async def _walk(screen: Screen, output: Path, log: TextIO) -> None:
    screen.title()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(started_server(log))
        # Loopback only: a proxy of the environment has no business here.
        files = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False))
        assistant = Assistant(client, files, screen)
        await tell(assistant, screen, output)
    screen.files(assistant.files)
    screen.what_next()


def _first_of(failures: Exception) -> str:
    """What happened, without the groups around it."""
    while isinstance(failures, ExceptionGroup):
        failures = failures.exceptions[0]
    return str(failures) or type(failures).__name__


def _end_of(log: TextIO) -> list[str]:
    log.seek(0)
    return log.read().splitlines()[-LOG_LINES:]
