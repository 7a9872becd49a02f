"""The task of a lost run is found by the platform's clock, however wrong this machine's clock is."""

import functools
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
from mcp import Client

from tests.fake_platform import FakePlatform, error_text

RUN = {"workflow_slug": "fox", "body": {}}
SKEWS = [timedelta(minutes=minutes) for minutes in range(-10, 11)]
with_platform = functools.partial(pytest.mark.parametrize, "platform", indirect=True)
NONE_SINCE = "No task of this workflow has appeared since, so far."


class SkewedPlatform(FakePlatform):
    """A platform whose clock is `skew` ahead of this machine's. It accepts runs, but its responses are lost."""

    def __init__(self, skew: timedelta, sends_date: bool = True, accepts: bool = True) -> None:
        super().__init__()
        self.skew = skew
        self.sends_date = sends_date
        self.accepts = accepts
        self.tasks: list[dict[str, Any]] = []
        self.on("POST", "/r/workflows/slug/fox/run", self._run)
        self.on("GET", "/r/workflows/slug/fox", {"id": "fox-id"})
        self.on("GET", "/r/tasks", self._page)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.skew

    def add_task(self, task_id: str, age: timedelta, workflow_id: str = "fox-id") -> None:
        """Add a task of that age, by the platform's clock."""
        created_at = (self.now - age).isoformat(timespec="seconds").replace("+00:00", "Z")
        task = {"id": task_id, "workflow_id": workflow_id, "task_status": "running", "created_at": created_at}
        self.tasks.append(task)

    def _run(self, _: httpx2.Request) -> httpx2.Response:
        if self.accepts:
            self.add_task("ours", timedelta(0))
        return httpx2.Response(502, json={"error_message": "bad gateway"})

    def _page(self, request: httpx2.Request) -> httpx2.Response:
        number, size = (int(request.url.params[name]) for name in ("current_page", "per_page"))
        meta = {"current_page": number, "per_page": size, "total_count": len(self.tasks)}
        page = self.tasks[(number - 1) * size : number * size]
        return httpx2.Response(200, json={"task_list": page, "page_meta": meta})

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        response = super()._respond(request)
        if self.sends_date:
            response.headers["Date"] = format_datetime(self.now, usegmt=True)
        return response


@pytest.fixture(params=[(skew, True) for skew in SKEWS], ids=lambda param: f"{param[0].total_seconds():+.0f} s")
def platform(request: pytest.FixtureRequest) -> SkewedPlatform:
    skew, sends_date = request.param
    return SkewedPlatform(skew, sends_date)


async def test_the_lost_task_is_named_and_older_ones_are_not(client: Client, platform: SkewedPlatform) -> None:
    for age in (10, 60, 300, 3_600):
        platform.add_task(f"before-{age}", timedelta(seconds=age))
    text = error_text(await client.call_tool("run_workflow_by_slug", RUN))
    assert "Do not run it again: these tasks of the same workflow were created since." in text
    assert "- ours: running" in text
    assert "before-" not in text


async def test_the_error_for_a_run_that_created_no_task_names_none(client: Client, platform: SkewedPlatform) -> None:
    platform.accepts = False
    platform.add_task("before", timedelta(seconds=10))
    text = error_text(await client.call_tool("run_workflow_by_slug", RUN))
    assert NONE_SINCE in text
    assert "before" not in text.partition(NONE_SINCE)[2].replace("before running it again", "")


async def test_the_end_of_a_long_list_with_the_newest_tasks_is_found(client: Client, platform: SkewedPlatform) -> None:
    for number in range(1_500):
        platform.add_task(f"old-{number}", timedelta(days=1), workflow_id="other")
    text = error_text(await client.call_tool("run_workflow_by_slug", RUN))
    assert "- ours: running" in text
    assert len([line for line in platform.request_lines if "/r/tasks?" in line]) <= 3


@with_platform([(timedelta(minutes=10), False)])
async def test_without_a_date_a_task_from_the_future_shows_how_far_our_clock_is_behind(
    client: Client, platform: SkewedPlatform
) -> None:
    platform.add_task("before", timedelta(minutes=5))
    text = error_text(await client.call_tool("run_workflow_by_slug", RUN))
    assert "- ours: running" in text
    assert "- before" not in text


@with_platform([(timedelta(minutes=-10), False)])
async def test_without_a_date_a_clock_that_is_ahead_hides_no_task(client: Client, platform: SkewedPlatform) -> None:
    text = error_text(await client.call_tool("run_workflow_by_slug", RUN))
    assert NONE_SINCE in text
    assert "this machine's clock may be ahead" in text
    assert "- ours: running" in text


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:12 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "soon", ""])
@with_platform([(timedelta(0), False)])
async def test_an_impossible_date_is_ignored(client: Client, platform: SkewedPlatform, date: str) -> None:
    platform.add_task("before", timedelta(hours=5))
    platform.on(
        "GET", "/r/workflows/slug/fox", lambda _: httpx2.Response(200, json={"id": "fox-id"}, headers={"Date": date})
    )
    text = error_text(await client.call_tool("run_workflow_by_slug", RUN))
    assert "- ours: running" in text
    assert "- before" not in text


@with_platform([(timedelta(0), True)])
async def test_the_task_is_found_after_the_machine_slept(
    client: Client, platform: SkewedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_after_sleep(_: httpx2.Request) -> httpx2.Response:
        platform.add_task("ours", timedelta(0))
        real_time = time.time
        platform.skew += timedelta(minutes=10)
        monkeypatch.setattr(time, "time", lambda: real_time() + 600)
        raise httpx2.ReadError("connection lost")

    platform.on("POST", "/r/workflows/slug/fox/run", fail_after_sleep)
    text = error_text(await client.call_tool("run_workflow_by_slug", RUN))
    assert "- ours: running" in text
