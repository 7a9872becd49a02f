"""The task of a run whose answer was lost is found wherever it stands in a long list of tasks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from mcp import Client

from tests.fake_platform import FakePlatform, error_text

RUN = {"workflow_slug": "fox", "body": {}}
OURS = "task-of-ours"


def tasks_around_ours(older: int, newer: int) -> list[dict[str, Any]]:
    """A list, oldest first, of others' tasks: so many from yesterday, then ours, then so many from just now."""
    now = datetime.now(UTC)
    yesterday = now - timedelta(days=1)
    others = [task(f"old-{number}", "other", yesterday) for number in range(older)]
    return [*others, task(OURS, "fox-id", now), *(task(f"new-{number}", "other", now) for number in range(newer))]


def task(task_id: str, workflow_id: str, created_at: datetime) -> dict[str, Any]:
    return {
        "id": task_id,
        "workflow_id": workflow_id,
        "task_status": "running",
        "created_at": created_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(
    ("older", "newer"), [(0, 0), (99, 0), (100, 0), (198, 1), (198, 2), (500, 130), (0, 130), (3, 400)]
)
async def test_a_task_of_ours_is_offered_wherever_it_stands(
    client: Client, platform: FakePlatform, older: int, newer: int, newest_first: bool
) -> None:
    tasks = tasks_around_ours(older, newer)
    listed = tasks[::-1] if newest_first else tasks

    def page(request: httpx2.Request) -> httpx2.Response:
        number, size = (int(request.url.params[name]) for name in ("current_page", "per_page"))
        meta = {"current_page": number, "per_page": size, "total_count": len(listed)}
        return httpx2.Response(200, json={"task_list": listed[(number - 1) * size : number * size], "page_meta": meta})

    platform.on("POST", "/r/workflows/slug/fox/run", {"error_message": "bad gateway"}, status=502)
    platform.on("GET", "/r/workflows/slug/fox", {"id": "fox-id"})
    platform.on("GET", "/r/tasks", page)
    assert f"- {OURS}: running" in error_text(await client.call_tool("run_workflow_by_slug", RUN))
    assert len(platform.requests) <= 2 + 11


async def test_tasks_of_before_are_not_offered(client: Client, platform: FakePlatform) -> None:
    before = task("task-of-before", "fox-id", datetime.now(UTC) - timedelta(minutes=5))
    platform.on("POST", "/r/workflows/slug/fox/run", {"error_message": "bad gateway"}, status=502)
    platform.on("GET", "/r/workflows/slug/fox", {"id": "fox-id"})
    platform.on("GET", "/r/tasks", {"task_list": [before, task("odd", "fox-id", datetime.min) | {"created_at": 7}]})
    text = error_text(await client.call_tool("run_workflow_by_slug", RUN))
    assert "No task of this workflow has appeared since, so far." in text
