"""Prepares the answers of the handshake for the installed versions, by asking the server itself.

`make snapshot` does this for the package. A start for which the package has no answers does it for the next one, once
it serves: the packaged snapshot fits one version of the SDK, and the first newer one would make every start slow.
"""

import json
import logging
import os
import sys
import tempfile
from binascii import crc32
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from mcp_types import jsonrpc_message_adapter
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.sdk_engine import SessionMessage
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings
from cyberun_mcp.stdio.eras import serve_both_eras
from cyberun_mcp.stdio.snapshot import cached_path, find_snapshot, is_private_folder, made_with

DELAY = 1.0  # seconds after the beginning, when the client has had its first answers

_CLIENT = {"name": "snapshot", "version": "1"}
_INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}

logger = logging.getLogger(__name__)


async def renew_snapshot(delay: float = DELAY) -> None:
    """Leave the answers for the installed versions in the user's cache folder, unless the next start has some.

    Nothing happens where there is no folder that is ours alone to write. The event loop is never held up for longer
    than one answer takes.
    """
    if sys.platform == "win32":  # its pipes have no fast start
        return
    await anyio.sleep(delay)
    try:
        path = cached_path()
        if path is None or await anyio.to_thread.run_sync(find_snapshot, abandon_on_cancel=True) is not None:
            return
        text = json.dumps(await build_snapshot(), ensure_ascii=False, separators=(",", ":")).encode()
        await anyio.to_thread.run_sync(_store, Path(path), b"%08x\n" % crc32(text) + text, abandon_on_cancel=True)
    except Exception as error:  # no reason to stop serving
        logger.debug("no answers are prepared for the next start: %s", error)


async def build_snapshot() -> dict[str, Any]:
    """The versions, and what this server answers in each revision; equal answers are kept once."""
    answers: dict[str, dict[str, Any]] = {}
    for revision, messages in conversations().items():
        for method, result in await _results(messages):
            revisions = answers.setdefault(method, {})
            same = next((names for names, other in revisions.items() if other == result), "")
            revisions.pop(same, None)
            revisions[f"{same} {revision}".strip()] = result
    return {**made_with(), "answers": answers}


def conversations() -> dict[str, list[dict[str, Any]]]:
    """The handshake of each revision of the protocol that the SDK speaks."""

    def request(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": 1, "method": method, **({} if params is None else {"params": params})}

    def initialize(revision: str) -> dict[str, Any]:
        return request("initialize", {"protocolVersion": revision, "capabilities": {}, "clientInfo": _CLIENT})

    def envelope(revision: str) -> dict[str, Any]:
        prefix = "io.modelcontextprotocol/"
        return {
            "_meta": {
                f"{prefix}protocolVersion": revision,
                f"{prefix}clientCapabilities": {},
                f"{prefix}clientInfo": _CLIENT,
            }
        }

    return {
        **{
            revision: [initialize(revision), request("ping"), _INITIALIZED, request("tools/list")]
            for revision in HANDSHAKE_PROTOCOL_VERSIONS
        },
        **{
            revision: [request("server/discover", envelope(revision)), request("tools/list", envelope(revision))]
            for revision in MODERN_PROTOCOL_VERSIONS
        },
    }


async def _results(messages: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """The method and the result of each request of one conversation."""
    server = build_server(Settings(), lambda _: credential_from(None))
    client_writes, server_reads = anyio.create_memory_object_stream[SessionMessage | Exception](1)
    server_writes, client_reads = anyio.create_memory_object_stream[SessionMessage](1)
    results = []
    async with client_writes, client_reads, anyio.create_task_group() as tasks:
        tasks.start_soon(serve_both_eras, server, server_reads, server_writes)
        for message in messages:
            await client_writes.send(SessionMessage(jsonrpc_message_adapter.validate_python(message, by_name=False)))
            if "id" in message:
                answer = (await client_reads.receive()).message
                line = answer.model_dump_json(by_alias=True, exclude_unset=True)
                results.append((message["method"], json.loads(line)["result"]))
        client_writes.close()
    return results


def _store(path: Path, data: bytes) -> None:
    """Replace a file of the cache atomically, unless others may write to its folder. Raises OSError, RuntimeError."""
    from platformdirs import user_cache_path

    folder = user_cache_path("cyberun-mcp", appauthor=False)
    if folder != path.parent or not folder.parent.parent.is_dir():  # the next start would not look there
        return
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if is_private_folder(str(folder)):
        _replace(path, data)


def _replace(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
