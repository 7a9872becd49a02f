"""Answers a client's handshake from `snapshot.json`, with the standard library alone, while a thread loads the SDK.

Loading takes a third of a second, and every client waits for `initialize` and `tools/list` whenever it starts. What is
answered here is what the SDK would answer, byte for byte (`make snapshot`). The first message of which that is not
certain ends it, and so does the end of loading: then the command gets the pipes, with the handshake as it stands.
"""

import gc
import json
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any, NoReturn

from cyberun_mcp import (
    __version__,
    process,  # noqa: F401 - notes who it is, before that can change
)
from cyberun_mcp.observability.stderr import never_wait_for_stderr
from cyberun_mcp.pipes.claim import InitializeState, StdioPipes, claim_stdio, write_all

SNAPSHOT = os.path.join(os.path.dirname(__file__), "snapshot.json")  # noqa: PTH118, PTH120 - pathlib loads for 3 ms
LONGEST_LINE = 64 * 1024  # bytes; no handshake is longer

Answers = Mapping[str, Mapping[str, Any]]  # method → revisions, with blanks between → result

# Settings no start can fail with. With any other, the command starts at once, and refuses them in its own words.
_SECONDS = "([1-9]|[1-5][0-9])([.][0-9]+)?"
_PLAIN = re.compile(
    "CYBERUN_(API_KEY=((sk|dk)-[a-zA-Z0-9_-]*)?"
    "|BASE_URL=((https://[a-z0-9][a-z0-9.-]*|http://(127[.]0[.]0[.]1|localhost))(:(6[0-4][0-9]{3}|[1-5]?[0-9]{1,4}))?(/[a-zA-Z0-9_-]+)*/?)?"
    "|TEAM_ID=[a-zA-Z0-9_-]*"
    "|LOG_LEVEL=(debug|info|warning|error)?"
    f"|CALL_TIMEOUT=({_SECONDS})?"
    f"|(REQUEST_TIMEOUT|CONNECT_TIMEOUT|POOL_TIMEOUT|EVENTS_IDLE|POLL_INTERVAL)=({_SECONDS}|0[.][1-9][0-9]*)?)"
)

# The shapes of what is certain: a type, a value, alternatives, or the members of an object, where `?` marks those that
# may be absent and `*` is any other. The SDK takes more than these, and what is beyond them is left to it.
_OBJECTS = {"*": dict}
_CAPABILITIES = {
    "roots?": {"listChanged?": bool},
    "sampling?": _OBJECTS,
    "elicitation?": _OBJECTS,
    "experimental?": _OBJECTS,
    "extensions?": _OBJECTS,
    "tasks?": {"list?": dict, "cancel?": dict, "requests?": {"sampling?": _OBJECTS, "elicitation?": _OBJECTS}},
}
_CLIENT = {"name": str, "version": str, "title?": str, "description?": str, "websiteUrl?": str}
_INTRODUCTION = {"protocolVersion": str, "capabilities": _CAPABILITIES, "clientInfo": _CLIENT}
_REQUEST = {"jsonrpc": "2.0", "id": (int, str), "method": str, "params?": dict}
_MODERN = "2026-07-28"
_ENVELOPE = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": _MODERN,
        "io.modelcontextprotocol/clientInfo": _CLIENT,
        "io.modelcontextprotocol/clientCapabilities": _CAPABILITIES,
    }
}


def main() -> NoReturn:
    """The console script."""
    never_wait_for_stderr()
    answers = None if sys.argv[1:] or not is_plain(os.environ) else read_snapshot()
    pipes = claim_stdio() if answers else None
    if answers and pipes:
        _greet(pipes, answers)
    from cyberun_mcp.cli import main as command

    command(pipes)


def is_plain(environ: Mapping[str, str]) -> bool:
    """Whether no start with these settings can fail."""
    return all(_PLAIN.fullmatch(f"{name}={value}") for name, value in environ.items() if name.startswith("CYBERUN_"))


def read_snapshot(path: str = SNAPSHOT) -> Answers | None:
    """The prepared answers; None when they are missing, or another version of ours or of the SDK made them."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            snapshot = json.load(file)
    except (OSError, ValueError):
        return None
    made_here = snapshot.get("cyberun-mcp") == __version__ and all(map(_is_installed, snapshot.get("with", [""])))
    return snapshot["answers"] if made_here else None


def _is_installed(distribution: str) -> bool:
    """Whether `mcp-2.3.0`, say, is there to be imported. To ask importlib.metadata takes as long as all the rest."""
    return any(os.path.isdir(f"{folder}/{distribution}.dist-info") for folder in sys.path)  # noqa: PTH112


def _greet(pipes: StdioPipes, answers: Answers) -> None:
    """Answer what the client says, for as long as that is certain and loading lasts."""
    loaded, end_of_loading = os.pipe()
    loading = threading.Thread(target=_load, args=[end_of_loading], daemon=True)
    loading.start()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, _: os._exit(130 if number == signal.SIGINT else 0))
    while _answer_lines(pipes, answers) and loaded not in select.select([pipes.reading, loaded], [], [])[0]:
        data = os.read(pipes.reading, LONGEST_LINE)
        if not data and not pipes.buffered:
            os._exit(0)
        pipes.buffered += data or b"\n"
    loading.join()


def _load(end_of_loading: int) -> None:
    gc.disable()  # until `load_stdio` is through; see `_importing` there
    try:
        from cyberun_mcp.cli import load_stdio

        load_stdio()
    finally:
        os.close(end_of_loading)


def _answer_lines(pipes: StdioPipes, answers: Answers) -> bool:
    """Answer the lines that were read; whether there may be more to answer."""
    while b"\n" in pipes.buffered:
        line, _, rest = pipes.buffered.partition(b"\n")
        answer = answer_to(line, pipes, answers)
        if answer is None:
            return False
        _send(answer, pipes)
        pipes.buffered = rest
    return len(pipes.buffered) < LONGEST_LINE


def answer_to(line: bytes, pipes: StdioPipes, answers: Answers) -> bytes | None:
    """What the SDK would answer to a line, which is nothing for a notification; None where that is not certain."""
    message = _read(line)
    if message == {"jsonrpc": "2.0", "method": "notifications/initialized"} and pipes.initialize:
        pipes.initialize.confirmed = True
        return b""
    if not _fits(message, _REQUEST) or not (number := str(message["id"])).isascii() or not number.isprintable():
        return None
    method, params = message["method"], message.get("params", {})
    revision = _revision(method, params, pipes.initialize)
    result = next((each for revisions, each in answers.get(method, {}).items() if revision in revisions.split()), None)
    if result is None:
        return None
    if method == "initialize":
        pipes.initialize = InitializeState(params)
    return b'{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (_written(message["id"]), _written(result))


def _revision(method: str, params: Mapping[str, Any], initialize: InitializeState | None) -> str:
    """The revision of the protocol to answer a request in; empty where it is not certain."""
    if method == "initialize":
        return params["protocolVersion"] if initialize is None and _fits(params, _INTRODUCTION) else ""
    if initialize and not params:
        return initialize.version
    return _MODERN if _fits(params, _ENVELOPE) else ""


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, tuple):
        return any(_fits(value, each) for each in shape)
    if isinstance(shape, type):
        return type(value) is shape
    if not isinstance(shape, dict):
        return bool(value == shape)
    return (
        isinstance(value, dict)
        and all(name in value for name in shape if name[-1] not in "?*")
        and all(_fits(item, shape.get(name, shape.get(name + "?", shape.get("*", ())))) for name, item in value.items())
    )


def _read(line: bytes) -> Any:
    """The JSON value of a line; None where the SDK's reader and ours might disagree."""
    try:
        return None if b"\\u" in line else json.loads(line.decode())
    except (ValueError, RecursionError):
        return None


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _send(data: bytes, pipes: StdioPipes) -> None:
    try:
        write_all(pipes.writing, data)
    except OSError:  # the client reads no more
        os._exit(0)
