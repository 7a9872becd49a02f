"""Starting what an entry says, or calling it, as far as the first answer."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any, cast
from urllib.parse import urlsplit

import anyio
import httpx2
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from cyberun_mcp import __version__
from cyberun_mcp.api.responses import parse_json
from cyberun_mcp.doctor.entries import Started
from cyberun_mcp.settings import is_loopback

PATIENCE = 15.0  # seconds to the first answer; Claude Code waits 30, Inspector 15
ENDING = 5.0  # seconds it gets to end once its input has, and as many after SIGTERM; the SDK's client gives 2
LONGEST_LINE = 1 << 20
LONGEST_REASON = 4096  # bytes of its log

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
    with tempfile.TemporaryFile() as log:  # and no pipe: nobody would read it while the first answer is waited for
        try:
            async with _running(started, log) as process:
                line = await _first_line(process)
        except OSError as error:
            what = f"{command} cannot be started: {error.strerror}"
            raise Fails(what, "cyberun-mcp config {name} --write") from error
        except anyio.EndOfStream as error:
            what = f"it ends at once: {_last_line(log) or 'without a word'}"
            raise Fails(what, "cyberun-mcp config {name} --write") from error
    return f"starts: {_server_in(line)}"


@asynccontextmanager
async def _running(started: Started, log: IO[bytes]) -> AsyncIterator[Process]:
    """The process, ended as clients do it: close its input, then SIGTERM, then SIGKILL.

    A server that is killed at once leaves its temporary files behind.
    """
    async with await anyio.open_process(
        started.command, stdin=subprocess.PIPE, stderr=log, env=started.environment
    ) as process:
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                await cast(ByteSendStream, process.stdin).aclose()
                for insist in (process.terminate, process.kill):
                    with anyio.move_on_after(ENDING):
                        await process.wait()
                    if process.returncode is None:
                        insist()


async def _first_line(process: Process) -> bytes:
    """The first line it answers with. Raises Fails, and EndOfStream where it ends before."""
    stdin, stdout = cast(ByteSendStream, process.stdin), cast(ByteReceiveStream, process.stdout)  # pipes, as asked for
    try:
        with anyio.fail_after(PATIENCE):
            await stdin.send(json.dumps(_INITIALIZE).encode() + b"\n")
            return await BufferedByteReceiveStream(stdout).receive_until(b"\n", LONGEST_LINE)
    except TimeoutError as error:
        raise Fails(f"it starts, but does not answer within {PATIENCE:.0f} s", "Start it by hand and read.") from error
    except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise anyio.EndOfStream from error
    except anyio.DelimiterNotFound:
        return b""  # whatever this is, it is no message


def _last_line(log: IO[bytes]) -> str:
    """The last line of the end of its log."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - LONGEST_REASON))
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


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
