"""`make conformance`: the suite at both revisions; exit status 0 when nothing fails but what is expected to."""

import logging
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.emulator import emulator
from cyberun_mcp.http import app as http_app
from cyberun_mcp.http.client_connection import client_connections
from cyberun_mcp.http.serve import listen
from cyberun_mcp.settings import Settings
from tests.conformance.fixtures import build_server_with_fixtures
from tests.node.installing import node, npm_package

EXPECTED = Path(__file__).parent / "expected"
LONGEST = 120  # seconds for one revision


@dataclass(frozen=True)
class Suite:
    """One release of the suite, asked for one revision of the protocol."""

    revision: str
    release: str
    options: tuple[str, ...]

    @property
    def expected(self) -> Path:
        """What is expected to fail, and why."""
        return EXPECTED / f"{self.revision}.yml"


SUITES = (
    Suite("2025-11-25", "0.1.16", ("--suite", "all")),
    # The only release that knows this revision.
    Suite("2026-07-28", "0.2.0-alpha.12", ("--suite", "all", "--spec-version", "2026-07-28")),
)


def with_key(app: ASGIApp, key: str) -> ASGIApp:
    """The endpoint, for callers that cannot be told to send a key; those of the suite cannot."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], (b"authorization", f"Bearer {key}".encode())]}
        await app(scope, receive, send)

    return answer


@asynccontextmanager
async def endpoint() -> AsyncIterator[str]:
    """The URL of our application, with an emulator behind it and the suite's tools beside our own."""
    listener: socket.socket = listen("127.0.0.1", 0)
    async with emulator() as platform:
        with mock.patch.object(http_app, "build_server", build_server_with_fixtures):
            application = http_app.HttpApp(Settings(base_url=platform.base_url))
        app = with_key(application.asgi, platform.api_key)
        protocol: Any = client_connections(
            application.settings, application.metrics
        )  # trims header values, as we serve
        config = uvicorn.Config(app, http=protocol, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        async with application.running(), anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            yield f"http://127.0.0.1:{listener.getsockname()[1]}{http_app.PATH}"
            server.should_exit = True


def run(suite: Suite, url: str) -> bool:
    """Whether the suite is content; what it said is shown if not."""
    program = npm_package(f"conformance-{suite.release}", f"@modelcontextprotocol/conformance@{suite.release}")
    script = program / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(node()), str(script), "server", "--url", url, *suite.options, "-o", folder]
        done = subprocess.run(
            [*command, "--expected-failures", str(suite.expected)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    counted = re.search(r"(?m)^Total: (\d+) passed, (\d+) failed", done.stdout)
    if done.returncode == 0 and counted:
        sys.stdout.write(
            f"{suite.revision}, suite {suite.release}: {counted[1]} checks passed, {counted[2]} failed, "
            f"each of them expected, with its reason in {suite.expected.relative_to(Path.cwd())}\n"
        )
    else:
        sys.stdout.write(f"{suite.revision}, suite {suite.release}: not as expected\n")
        sys.stdout.write(done.stdout + done.stderr)
    return done.returncode == 0 and counted is not None


async def main() -> int:
    """Run both."""
    logging.disable(logging.CRITICAL)
    async with endpoint() as url:
        contents = [await anyio.to_thread.run_sync(run, suite, url) for suite in SUITES]
    return 0 if all(contents) else 1


if __name__ == "__main__":
    sys.exit(anyio.run(main))
