"""The prepared handshake is the SDK's own, byte for byte, and what is not certain is left to the SDK."""

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.server import Server, ServerRequestContext
from mcp.shared.message import SessionMessage
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InitializeRequestParams,
    JSONRPCRequest,
    jsonrpc_message_adapter,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.pipes.claim import InitializeState, StdioPipes
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings
from cyberun_mcp.stdio.eras import serve_both_eras
from cyberun_mcp.stdio.handshake import answer_to
from cyberun_mcp.stdio.snapshot import Answers, read_snapshot
from cyberun_mcp.stdio.snapshot_writer import conversations
from tests.properties.json_values import VALUES
from tests.stdio.process import META

CLIENT = {"name": "test", "version": "1"}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def request(method: str, params: Any = None, number: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, **({} if params is None else {"params": params})}


def initialize(revision: str, capabilities: Any = None, client: Any = None) -> dict[str, Any]:
    params = {"protocolVersion": revision, "capabilities": capabilities or {}, "clientInfo": client or CLIENT}
    return request("initialize", params)


CONVERSATIONS = conversations()


def lines(*messages: Any) -> list[bytes]:
    return [json.dumps(each).encode() for each in messages]


async def said_by_the_sdk(heard: Iterable[bytes], server: Server[Any] | None = None, **state: Any) -> list[bytes]:
    """What the SDK's path answers to each line: nothing, or the answer with its line end."""
    server = server or build_server(Settings(), lambda _: credential_from(None))
    client_writes, server_reads = anyio.create_memory_object_stream[SessionMessage | Exception](1)
    server_writes, client_reads = anyio.create_memory_object_stream[SessionMessage](100)
    said = []
    async with client_writes, client_reads, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve_both_eras, server, server_reads, server_writes, **state))
        for line in heard:
            try:
                message = jsonrpc_message_adapter.validate_json(line.decode(errors="replace"), by_name=False)
            except ValueError:
                said.append(b"")
                continue
            await client_writes.send(SessionMessage(message))
            if isinstance(message, JSONRPCRequest):
                answer = (await client_reads.receive()).message
                said.append(f"{answer.model_dump_json(by_alias=True, exclude_unset=True)}\n".encode())
            else:
                for _ in range(5):  # it takes effect in a task of its own
                    await anyio.lowlevel.checkpoint()
                said.append(b"")
        client_writes.close()
    return said


def said_from_the_snapshot(heard: Sequence[bytes], answers: Answers) -> list[bytes]:
    """What the prepared handshake answers, up to the first line it leaves to the SDK."""
    pipes, said = StdioPipes(-1, -1), []
    for line in heard:
        answer = answer_to(line, pipes, answers)
        if answer is None:
            break
        said.append(answer)
    return said


@pytest.fixture(scope="module")
def snapshot() -> Answers:
    """The packaged answers; without them, as with a newer SDK than they were made with, the SDK answers everything."""
    answers = read_snapshot()
    if answers is None:
        pytest.skip("the snapshot was made with another version of the SDK")
    return answers


@pytest.mark.parametrize("revision", CONVERSATIONS)
async def test_each_answer_is_the_sdks_byte_by_byte(revision: str, snapshot: Answers) -> None:
    heard = lines(*CONVERSATIONS[revision])
    assert said_from_the_snapshot(heard, snapshot) == await said_by_the_sdk(heard)


INTRODUCTIONS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "Claude Code": (
        {"roots": {"listChanged": True}, "elicitation": {"form": {"applyDefaults": True}, "url": {}}},
        {"name": "claude-code", "title": "Claude Code", "version": "2.1.330", "websiteUrl": "https://claude.com"},
    ),
    "VS Code": (
        {
            "roots": {"listChanged": True},
            "sampling": {"context": {}, "tools": {}},
            "tasks": {"list": {}, "cancel": {}, "requests": {"sampling": {"createMessage": {}}}},
            "extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html"]}},
        },
        {"name": "Visual Studio Code", "version": "1.108.0"},
    ),
    "a client with an accent": ({"experimental": {"x": {"y": [None, 1.5]}}}, {"name": "Käufer", "version": ""}),
}


@pytest.mark.parametrize("who", INTRODUCTIONS)
async def test_real_clients_are_answered_without_the_sdk(who: str, snapshot: Answers) -> None:
    capabilities, client = INTRODUCTIONS[who]
    envelope = {**META, "io.modelcontextprotocol/clientInfo": client}
    envelope["io.modelcontextprotocol/clientCapabilities"] = capabilities
    messages = [
        request("server/discover", {"_meta": envelope}, "a-1"),
        initialize("2025-11-25", capabilities, client),
        INITIALIZED,
        request("tools/list", {}, 10**30),
    ]
    heard = [json.dumps(each, ensure_ascii=False).encode() + b"\r" for each in messages]
    said = said_from_the_snapshot(heard, snapshot)
    assert len(said) == len(heard)
    assert said == await said_by_the_sdk(heard)


VALID = [
    *(message for messages in CONVERSATIONS.values() for message in messages),
    *(initialize("2025-06-18", capabilities, client) for capabilities, client in INTRODUCTIONS.values()),
]


@st.composite
def distorted(draw: st.DrawFn) -> bytes:
    """A line of a real handshake, in which up to two members were replaced, added or removed; seldom, just bytes."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=20)).replace(b"\n", b"")
    message: dict[str, Any] = deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        place: dict[str, Any] = message
        for _ in range(draw(st.integers(0, 4))):
            inner = [each for each in place.values() if isinstance(each, dict)]
            place = draw(st.sampled_from(inner)) if inner else place
        name = draw(st.sampled_from([*place, "params", "_meta"]) | st.text(max_size=5))
        place[name] = draw(VALUES | st.sampled_from([{}, True, "2025-03-26", "ping", "tools/list", 7]))
        if draw(st.booleans()):
            del place[draw(st.sampled_from(list(place)))]
    return json.dumps(message, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")


OPENINGS = st.sampled_from([[], *(lines(initialize(each), INITIALIZED) for each in HANDSHAKE_PROTOCOL_VERSIONS)])


@settings(max_examples=300, deadline=None)
@given(OPENINGS, st.lists(distorted(), min_size=1, max_size=4))
def test_whatever_is_said_is_answered_as_by_the_sdk_or_left_to_it(
    snapshot: Answers, opening: list[bytes], rest: list[bytes]
) -> None:
    said = said_from_the_snapshot([*opening, *rest], snapshot)
    assert said == anyio.run(said_by_the_sdk, [*opening, *rest][: len(said)])


@pytest.mark.parametrize("confirmed", [True, False])
async def test_after_the_hand_over_calls_meet_the_client_that_was_greeted(confirmed: bool) -> None:
    async def answer(context: ServerRequestContext[Any, Any], _: CallToolRequestParams) -> CallToolResult:
        seen.append((context.session.client_params, context.protocol_version, context.session.client_capabilities))
        return CallToolResult(content=[])

    seen: list[tuple[InitializeRequestParams | None, str, Any]] = []
    server: Server[Any] = Server("seeing", on_call_tool=answer)
    capabilities, client = INTRODUCTIONS["Claude Code"]
    opening = initialize("2025-03-26", capabilities, client)
    call = request("tools/call", {"name": "any"})
    *_, as_usual = await said_by_the_sdk(lines(opening, *([INITIALIZED] if confirmed else []), call), server)
    state = InitializeState(opening["params"])
    state.confirmed = confirmed
    [handed_over] = await said_by_the_sdk(lines(call), server, initialize=state)
    assert handed_over == as_usual
    assert seen[0] == seen[1]
    assert seen[0][1] == "2025-03-26"
