"""Watching tasks, canceling them, and fetching their results."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp_types import ResourceLink

from tests.fake_platform import FakePlatform, error_text, structured

RESULT = {
    "id": "t1",
    "task_status": "completed",
    "task_output": {"storage_key": "tasks/t1/output_00001_.png", "image_count": 1},
    "download_url": "https://s3.test/tasks/t1/output_00001_.png?X-Amz-Signature=abc",
    "download_urls": None,
    "expires_at": "2026-02-10T15:01:30Z",
    "task_error": "",
    "completed_at": "2026-02-10T14:01:30Z",
}


async def test_list_tasks_sends_the_status_filter_only_if_there_is_one(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/tasks", {"task_list": [{"id": "t1", "task_status": "running"}]})
    assert structured(await client.call_tool("list_tasks", {"status": "running"}))["task_list"][0]["id"] == "t1"
    structured(await client.call_tool("list_tasks", {}))
    assert platform.request_lines == [
        "GET /r/tasks?current_page=1&per_page=20&status=running",
        "GET /r/tasks?current_page=1&per_page=20",
    ]


async def test_an_unknown_task_status_is_passed_on(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/tasks/t1", {"id": "t1", "task_status": "teleporting", "started_at": None})
    assert structured(await client.call_tool("get_task", {"task_id": "t1"})) == {
        "id": "t1",
        "task_status": "teleporting",
    }


async def test_a_field_of_an_undocumented_type_is_moved_to_unexpected(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/tasks/t1", {"id": "t1", "task_status": "running", "agent_id": {"name": "gpu"}})
    answer = structured(await client.call_tool("get_task", {"task_id": "t1"}))
    assert answer == {"id": "t1", "task_status": "running", "unexpected": {"agent_id": {"name": "gpu"}}}


async def test_a_result_with_one_output_has_one_resource_link(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/tasks/t1/result", RESULT)
    result = await client.call_tool("get_task_result", {"task_id": "t1"})
    assert structured(result)["download_url"] == RESULT["download_url"]
    [link] = [block for block in result.content if isinstance(block, ResourceLink)]
    assert (link.name, link.mime_type, link.uri) == ("output_00001_.png", "image/png", RESULT["download_url"])
    assert "2026-02-10T15:01:30Z" in (link.description or "")


async def test_a_result_with_several_outputs_has_one_resource_link_for_each(
    client: Client, platform: FakePlatform
) -> None:
    urls = {
        "9.images.0": "https://s3.test/a%20b.png?X=1",
        "12.mesh.0": "https://s3.test/c.ply",
        "13": "https://s3.test/c.zzz",
    }
    several: dict[str, Any] = {**RESULT, "download_url": urls["9.images.0"], "download_urls": urls}
    platform.on("GET", "/r/tasks/t1/result", several)
    result = await client.call_tool("get_task_result", {"task_id": "t1"})
    links = [block for block in result.content if isinstance(block, ResourceLink)]
    assert [(link.name, link.mime_type) for link in links] == [
        ("a b.png", "image/png"),
        ("c.ply", "model/ply"),
        ("c.zzz", "application/octet-stream"),
    ]


async def test_the_result_of_an_unfinished_task_has_no_outputs(client: Client, platform: FakePlatform) -> None:
    nothing = {"id": "t1", "task_status": "running", "task_output": None, "download_url": None, "download_urls": None}
    platform.on("GET", "/r/tasks/t1/result", nothing)
    result = await client.call_tool("get_task_result", {"task_id": "t1"})
    assert structured(result) == {"id": "t1", "task_status": "running"}
    assert len(result.content) == 1


async def test_cancel_task_sends_one_post_without_a_body(client: Client, platform: FakePlatform) -> None:
    platform.on("POST", "/r/tasks/t1/cancel", {"is_success": True})
    assert structured(await client.call_tool("cancel_task", {"task_id": "t1"})) == {"is_success": True}
    assert platform.request_lines == ["POST /r/tasks/t1/cancel"]


async def test_stream_task_events_sends_progress_and_returns_the_final_state(
    client: Client, platform: FakePlatform
) -> None:
    messages: list[tuple[float, float | None, str | None]] = []

    async def record(progress: float, total: float | None, message: str | None) -> None:
        messages.append((progress, total, message))

    step = {"task_id": "t1", "progress": 0.35, "current_node": "3", "step_current": 7, "step_total": 20}
    platform.on_events(
        "t1",
        ("status", {"task_id": "t1", "status": "running"}),
        ("progress", step),
        ("completed", {"task_id": "t1", "status": "completed", "output": {"image_count": 1}}),
    )
    answer = structured(await client.call_tool("stream_task_events", {"task_id": "t1"}, progress_callback=record))
    assert answer["task_status"] == "completed"
    assert answer["terminal"] is True
    assert answer["timed_out"] is False
    assert answer["task_output"] == {"image_count": 1}
    assert answer["source"] == {"via": "events", "events": 3, "reconnects": 0, "polls": 0}
    assert "task t1" in (messages[0][2] or "")
    assert messages[-1][:2] == (1.0, 1.0)
    assert (messages[-1][2] or "").endswith("completed")
    assert [value for value, *_ in messages] == sorted({value for value, *_ in messages})
    assert platform.request_lines == ["GET /r/tasks/t1/events"]


async def test_a_failed_task_is_a_successful_call_with_the_error_of_the_task(
    client: Client, platform: FakePlatform
) -> None:
    platform.on_events("t1", ("failed", {"task_id": "t1", "status": "failed", "error": "CUDA out of memory"}))
    answer = structured(await client.call_tool("stream_task_events", {"task_id": "t1"}))
    assert (answer["task_status"], answer["task_error"]) == ("failed", "CUDA out of memory")


async def test_waiting_for_an_unknown_task_fails_at_once_and_mentions_list_tasks(
    client: Client, platform: FakePlatform
) -> None:
    text = error_text(await client.call_tool("stream_task_events", {"task_id": "nope"}))
    assert text.splitlines() == [
        "Cyberun HTTP 404: resource not found",
        "Nothing of that name in this team; list_tasks shows what there is. If a run returned this task_id, that run "
        "was accepted: do not run it again, but wait a few seconds and call this tool again.",
    ]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP", "identity, gzip", "br"])
async def test_compressed_events_are_not_unpacked_and_the_task_is_polled_instead(
    client: Client, platform: FakePlatform, coding: str
) -> None:
    unpacked = 0

    async def comments() -> AsyncIterator[bytes]:
        nonlocal unpacked
        for _ in range(100):
            unpacked += 1
            yield gzip.compress(b": ping\n" * 1_000)

    headers = {"Content-Type": "text/event-stream", "Content-Encoding": coding}
    platform.on("GET", "/r/tasks/t1/events", lambda _: httpx2.Response(200, content=comments(), headers=headers))
    platform.on("GET", "/r/tasks/t1", {"id": "t1", "task_status": "completed"})
    platform.on("GET", "/r/tasks/t1/result", RESULT)
    answer = structured(await client.call_tool("stream_task_events", {"task_id": "t1"}))
    assert (answer["task_status"], answer["source"]["via"]) == ("completed", "polling")
    assert unpacked == 0
    assert platform.requests[0].headers["accept-encoding"] == "identity"
