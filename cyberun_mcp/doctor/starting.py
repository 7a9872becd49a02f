"""Starting what an entry says, or calling it, as far as the first answer."""

import contextlib
import json
import shutil
import subprocess
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx2
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from cyberun_mcp import __version__
from cyberun_mcp.api.answers import parse_json
from cyberun_mcp.doctor.entries import Started
from cyberun_mcp.settings import is_loopback

PATIENCE = 15.0  # seconds to the first answer; Claude Code waits 30, Inspector 15
LONGEST_LINE = 1 << 20

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


class Fails(Exception):
    """It would not start; `remedy` may name the client as `{name}`."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


async def start(started: Started) -> str:
    """Start the command and let it answer one `initialize`. Raises Fails."""
    command = started.command[0] if started.command else ""
    path = (started.environment or {}).get("PATH")
    if shutil.which(command, path=path) is None:
        raise Fails(f"its command is not found: {command or '(none)'}", "cyberun-mcp config {name} --write")
    try:
        process = await anyio.open_process(
            started.command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=started.environment
        )
    except OSError as error:
        raise Fails(f"{command} cannot be started: {error.strerror}", "cyberun-mcp config {name} --write") from error
    async with process:
        try:
            return f"starts: {_server_in(await _first_line(process))}"
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                process.kill()


async def _first_line(process: Process) -> bytes:
    stdin, stdout = cast(ByteSendStream, process.stdin), cast(ByteReceiveStream, process.stdout)  # pipes, as asked for
    try:
        with anyio.fail_after(PATIENCE):
            await stdin.send(json.dumps(_INITIALIZE).encode() + b"\n")
            return await BufferedByteReceiveStream(stdout).receive_until(b"\n", LONGEST_LINE)
    except TimeoutError as error:
        raise Fails(f"it starts, but does not answer within {PATIENCE:.0f} s", "Start it by hand and read.") from error
    except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        said = (await _whole(process)).decode("utf-8", "replace").strip().splitlines()
        raise Fails(
            f"it ends at once: {said[-1] if said else 'without a word'}", "cyberun-mcp config {name} --write"
        ) from error


async def _whole(process: Process) -> bytes:
    said = bytearray()
    with anyio.move_on_after(1):
        async for piece in cast(ByteReceiveStream, process.stderr):
            said += piece
    return bytes(said)


async def ask_endpoint(started: Started) -> str:
    """Call the endpoint with one `initialize`. Raises Fails."""
    headers = {**(started.headers or {}), "Accept": "application/json, text/event-stream"}
    try:
        outside = not is_loopback(urlsplit(started.url).hostname or "")  # a proxy is not for this machine's own servers
        async with httpx2.AsyncClient(timeout=PATIENCE, follow_redirects=False, trust_env=outside) as http:
            answer = await http.post(started.url, json=_INITIALIZE, headers=headers)
    except httpx2.RequestError as error:
        todo = "Start the endpoint (cyberun-mcp http), or correct its URL: cyberun-mcp config {name} --http URL --write"
        raise Fails(f"{started.url} does not answer: {error or type(error).__name__}", todo) from error
    if answer.status_code == httpx2.codes.UNAUTHORIZED:
        raise Fails(f"{started.url} refuses the key (401)", "Check CYBERUN_API_KEY in the client's environment.")
    if not answer.is_success:
        todo = "Correct the URL: cyberun-mcp config {name} --http URL --write"
        raise Fails(f"{started.url} answers {answer.status_code}", todo)
    lines = [line.removeprefix("data:") for line in answer.text.splitlines() if line.strip(" :")]
    said = next((line for line in lines if "jsonrpc" in line), "")
    return f"answers: {_server_in(said.encode())}"


def _server_in(line: bytes) -> str:
    said = parse_json(line)
    result = said.get("result") if isinstance(said, dict) else None
    server = result.get("serverInfo") if isinstance(result, dict) else None
    if not isinstance(server, dict):
        raise Fails("what answers is not an MCP server", "cyberun-mcp config {name} --write")
    return f"{server.get('name')} {server.get('version')}"
