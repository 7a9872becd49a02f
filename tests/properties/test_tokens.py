"""Any progress token of a client is returned unchanged, including its type, and nothing follows the result."""

from typing import Any

import anyio
import httpx2
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings
from cyberun_mcp.stdio.eras import serve_both_eras
from tests.fake_platform import BASE_URL, KEY, FakePlatform
from tests.faults.test_leaving import conversation
from tests.properties.virtual_clock import run_at_once

STATES = ["pending", "queued", "running", "completed"]


async def frames_of_a_wait(era: str, token: str | int) -> list[dict[str, Any]]:
    """All messages of the server to a client that waits for a task with a progress token."""
    platform = FakePlatform()
    states = iter(STATES)
    platform.on("GET", "/r/tasks/task-1", lambda _: httpx2.Response(200, json={"task_status": next(states)}))
    server = build_server(Settings(base_url=BASE_URL), lambda _: credential_from(KEY), transport=platform.transport())
    to_server, from_client = anyio.create_memory_object_stream[SessionMessage | Exception](10)
    to_client, from_server = anyio.create_memory_object_stream[SessionMessage](100)
    frames: list[dict[str, Any]] = []
    async with to_server, from_client, to_client, from_server, anyio.create_task_group() as tasks:
        tasks.start_soon(serve_both_eras, server, from_client, to_client)
        for message in conversation(era, "task-1"):
            if message["method"] == "tools/call":
                message["params"]["_meta"]["progressToken"] = token
            await to_server.send(SessionMessage(jsonrpc_message_adapter.validate_python(message)))
        with anyio.move_on_after(60):
            async for received in from_server:
                frames.append(received.message.model_dump(by_alias=True, exclude_unset=True))  # noqa: PERF401 - the loop is canceled
        tasks.cancel_scope.cancel()
    return frames


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["2025-11-25", "2026-07-28"]), st.integers(-(2**53), 2**53) | st.text(max_size=40))
@example("2025-11-25", 0)
@example("2026-07-28", "7")
@example("2025-11-25", "")
def test_a_token_is_returned_unchanged_and_nothing_follows_the_result(era: str, token: str | int) -> None:
    frames = run_at_once(lambda: frames_of_a_wait(era, token))
    [result_index] = [number for number, frame in enumerate(frames) if frame.get("id") == 7]
    assert result_index == len(frames) - 1
    progress = [frame["params"] for frame in frames if frame.get("method") == "notifications/progress"]
    assert len(progress) == len(STATES)
    assert all(type(message["progressToken"]) is type(token) for message in progress)
    assert all(message["progressToken"] == token for message in progress)
    assert progress[-1]["progress"] == 1
