"""`cyberun-mcp demo`: all tools, over real stdio, on the embedded platform.

It starts `cyberun-mcp --emulator` as an AI client would, calls the tools with the SDK's client, shows the results, and
downloads the outputs.
"""

import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

import anyio
import httpx2
from mcp import MCPError

from cyberun_mcp.demo.client import DemoClient, DemoFailed, connect_to_new_server
from cyberun_mcp.demo.screen import Screen
from cyberun_mcp.demo.walkthrough import walk_through
from cyberun_mcp.errors import first_cause

TIME_LIMIT = 120  # in seconds; the demo takes about ten, so after that something hangs
LOG_LINES = 15  # the number of lines of the server's log that a failure shows


async def run_demo(output: Path, picture: Path | None) -> int:
    """Run the demo, save its files to `output` and an SVG of its output to `picture`. Returns the exit status."""
    screen = Screen()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            problem = await _run_steps(screen, output, picture, log)
        except anyio.get_cancelled_exc_class():
            screen.show_stopped()
            raise
        if problem:
            screen.show_failure(problem, _last_lines(log))
            return 1
    return 0


async def _run_steps(screen: Screen, output: Path, picture: Path | None, log: TextIO) -> str:
    """Run all steps; returns what went wrong, or an empty string. Task groups wrap exceptions, hence `except*`."""
    problem = ""
    try:
        with anyio.fail_after(TIME_LIMIT):
            await _start_and_walk_through(screen, output, log)
        if picture is not None:
            screen.save(picture)
    except* TimeoutError:
        problem = f"no end in sight after {TIME_LIMIT} seconds"
    except* (DemoFailed, MCPError, httpx2.HTTPError, OSError) as failures:
        cause = first_cause(failures)
        problem = str(cause) or type(cause).__name__
    return problem


async def _start_and_walk_through(screen: Screen, output: Path, log: TextIO) -> None:
    screen.show_title()
    async with AsyncExitStack() as stack:
        mcp = await stack.enter_async_context(connect_to_new_server(log))
        # Without the proxy of the environment, because all files are on loopback.
        http = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False))
        client = DemoClient(mcp, http, screen)
        await walk_through(client, screen, output)
    screen.show_files(client.saved_files)
    screen.show_next_steps()


def _last_lines(log: TextIO) -> list[str]:
    log.seek(0)
    return log.read().splitlines()[-LOG_LINES:]
