"""Checks a server: starts its command, or calls its endpoint, and waits for the response to `initialize`."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import IO, Any, cast
from urllib.parse import urlsplit

import anyio
import httpx2
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from cyberun_mcp import __version__
from cyberun_mcp.api.responses import parse_json
from cyberun_mcp.settings import is_loopback

RESPONSE_TIMEOUT = 15.0  # in seconds; Claude Code waits 30, Inspector 15
EXIT_TIMEOUT = 5.0  # in seconds, after stdin is closed and again after SIGTERM; the SDK's client waits 2
MAX_LINE = 1 << 20  # in bytes
MAX_LOG = 4096  # in bytes, from the end of its stderr

_INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "cyberun-mcp-doctor", "version": __version__},
    },
}


class ServerCheckFailed(Exception):
    """The server does not start or respond. The remedy can contain `{name}`, for the name of the AI client."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


async def check_command(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Start the command and send `initialize`; returns a text with the server's name. Raises ServerCheckFailed."""
    program = command[0] if command else ""
    if shutil.which(program, path=environment.get("PATH")) is None:
        problem = f"its command is not found: {program or '(none)'}"
        raise ServerCheckFailed(problem, "cyberun-mcp config {name} --write")
    # A file and not a pipe for its stderr: a pipe that is not read fills up and blocks the server.
    with tempfile.TemporaryFile() as log:
        try:
            async with _running(command, environment, log) as process:
                line = await _first_line(process)
        except OSError as error:
            problem = f"{program} cannot be started: {error.strerror}"
            raise ServerCheckFailed(problem, "cyberun-mcp config {name} --write") from error
        except anyio.EndOfStream as error:
            problem = f"it ends at once: {_last_line(log) or 'without a word'}"
            raise ServerCheckFailed(problem, "cyberun-mcp config {name} --write") from error
    return f"starts: {_server_name(line)}"


@asynccontextmanager
async def _running(command: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> AsyncIterator[Process]:
    """The process. In the end its stdin is closed, then it gets SIGTERM, then SIGKILL, as from an AI client.

    If a server is killed at once, its temporary files remain.
    """
    async with await anyio.open_process(command, stdin=subprocess.PIPE, stderr=log, env=environment) as process:
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_discard_output, process)
                    await cast(ByteSendStream, process.stdin).aclose()
                    for stop in (process.terminate, process.kill):
                        with anyio.move_on_after(EXIT_TIMEOUT):
                            await process.wait()
                        if process.returncode is None:
                            stop()
                    tasks.cancel_scope.cancel()


async def _discard_output(process: Process) -> None:
    """Read to the end: a server blocks on a full pipe, and asyncio's `wait` returns only after its output is read."""
    async for _ in cast(ByteReceiveStream, process.stdout):
        pass


async def _first_line(process: Process) -> bytes:
    """Send `initialize`; returns the first line of the output. Raises ServerCheckFailed, or EndOfStream if it exits."""
    stdin, stdout = cast(ByteSendStream, process.stdin), cast(ByteReceiveStream, process.stdout)
    try:
        with anyio.fail_after(RESPONSE_TIMEOUT):
            await stdin.send(json.dumps(_INITIALIZE).encode() + b"\n")
            return await BufferedByteReceiveStream(stdout).receive_until(b"\n", MAX_LINE)
    except TimeoutError as error:
        problem = f"it starts, but does not answer within {RESPONSE_TIMEOUT:.0f} s"
        raise ServerCheckFailed(problem, "Start it by hand and read.") from error
    except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise anyio.EndOfStream from error
    except anyio.DelimiterNotFound:
        return b""  # the line is too long for a response


def _last_line(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - MAX_LOG))
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


async def check_endpoint(url: str, headers: Mapping[str, str]) -> str:
    """Send `initialize` to the endpoint; returns a text with the server's name. Raises ServerCheckFailed."""
    headers = {**headers, "Accept": "application/json, text/event-stream"}
    try:
        use_proxy = not is_loopback(urlsplit(url).hostname or "")
        async with httpx2.AsyncClient(timeout=RESPONSE_TIMEOUT, follow_redirects=False, trust_env=use_proxy) as http:
            response = await http.post(url, json=_INITIALIZE, headers=headers)
    except httpx2.RequestError as error:
        problem = f"{url} does not answer: {error or type(error).__name__}"
        remedy = (
            "Start the endpoint (cyberun-mcp http), or correct its URL: cyberun-mcp config {name} --http URL --write"
        )
        raise ServerCheckFailed(problem, remedy) from error
    if response.status_code == httpx2.codes.UNAUTHORIZED:
        remedy = "Check CYBERUN_API_KEY in the client's environment."
        raise ServerCheckFailed(f"{url} refuses the key (401)", remedy)
    if not response.is_success:
        remedy = "Correct the URL: cyberun-mcp config {name} --http URL --write"
        raise ServerCheckFailed(f"{url} answers {response.status_code}", remedy)
    # The response is either JSON or an event stream, whose data lines begin with "data:".
    lines = [line.removeprefix("data:") for line in response.text.splitlines() if line.strip(" :")]
    message = next((line for line in lines if "jsonrpc" in line), "")
    return f"answers: {_server_name(message.encode())}"


def _server_name(line: bytes) -> str:
    """Name and version of the server that sent this response to `initialize`. Raises ServerCheckFailed."""
    message = parse_json(line)
    result = message.get("result") if isinstance(message, dict) else None
    server = result.get("serverInfo") if isinstance(result, dict) else None
    if not isinstance(server, dict):
        raise ServerCheckFailed("what answers is not an MCP server", "cyberun-mcp config {name} --write")
    return f"{server.get('name')} {server.get('version')}"
