"""The event stream of a task."""

from pathlib import Path

import anyio

from cyberun_mcp.emulator import emulator
from cyberun_mcp.emulator.task_events import EventSubscription, TaskEvent

from .conftest import connected
from .platform_client import PlatformClient, events_in

SMALL = {"prompt": "sea", "steps": 5, "width": 64, "height": 64}
LONG = {"prompt": "sea", "steps": 100, "width": 512, "height": 512}


async def test_progress_counts_steps_and_only_increases(member: PlatformClient) -> None:
    task_id = await member.run("text-to-image", SMALL)
    events = await member.events(task_id)
    ticks = [data for name, data in events if name == "progress"]
    steps = [tick["step_current"] for tick in ticks]
    assert steps == sorted(set(steps))
    assert ticks[-1] == {
        "task_id": task_id,
        "progress": 1.0,
        "current_node": "3",
        "step_current": 5,
        "step_total": 5,
        "timestamp": ticks[-1]["timestamp"],
    }
    assert events[-1][0] == "completed"
    assert events[-1][1] == {"task_id": task_id, "status": "completed", "output": events[-1][1]["output"]}
    assert events[-1][1]["output"]["image_count"] == 1


async def test_the_stream_has_nothing_but_events_and_data(member: PlatformClient) -> None:
    lines = await member.event_lines(await member.run("text-to-image", SMALL))
    assert {line.partition(":")[0] for line in lines} == {"event", "data", ""}


async def test_a_nerfstudio_task_reports_its_stages(member: PlatformClient, png: bytes) -> None:
    parameters = {"input_image": await member.upload(png), "resolution": "64", "max_num_iterations": 5}
    events = await member.events(await member.run("point-cloud", parameters))
    ticks = [data for name, data in events if name == "progress"]
    assert list(dict.fromkeys(tick["stage"] for tick in ticks))[-1] == "upload"
    assert {tick["stage"] for tick in ticks} <= {"download", "process_data", "train", "export", "upload"}
    assert all(tick["message"] for tick in ticks)
    assert "current_node" not in ticks[0]


async def test_the_stream_of_an_ended_task_has_one_terminal_event(member: PlatformClient) -> None:
    completed = await member.run_to_end("text-to-image", SMALL)
    assert await member.events(completed["id"]) == [
        ("completed", {"task_id": completed["id"], "status": "completed", "output": completed["task_output"]})
    ]
    failed = await member.run_to_end("always-fails", {"fail_at": 0})
    ((name, data),) = await member.events(failed["id"])
    assert (name, data["status"], data["error"]) == ("failed", "failed", failed["task_error"])
    assert data["timestamp"] == failed["completed_at"]


async def test_cancelling_a_task_ends_its_streams(member: PlatformClient) -> None:
    task_id = await member.run("text-to-image", LONG)
    await member.wait_for_status(task_id, "running")
    seen: list[str] = []

    async def follow() -> None:
        seen.append((await member.events(task_id))[-1][0])

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(follow)
        await anyio.sleep(0.1)
        await member.post(f"/r/tasks/{task_id}/cancel")
    assert seen == ["cancelled"] * 5


async def test_a_late_stream_starts_with_the_status_and_the_latest_progress(member: PlatformClient) -> None:
    task_id = await member.run("text-to-image", LONG)
    async with member.http.stream("GET", f"/r/tasks/{task_id}/events") as early:
        async for line in early.aiter_lines():
            if line == "event: progress":
                break
    async with member.http.stream("GET", f"/r/tasks/{task_id}/events") as late:
        names = []
        async for line in late.aiter_lines():
            names += [line.removeprefix("event: ")] if line.startswith("event: ") else []
            if len(names) == 2:
                break
    assert names == ["status", "progress"]
    await member.post(f"/r/tasks/{task_id}/cancel")
    await member.wait_for_status(task_id, "cancelled")


async def test_a_slow_stream_skips_outdated_progress_and_nothing_else() -> None:
    subscription = EventSubscription()
    subscription.put(TaskEvent("status", {"status": "running"}))
    for step in range(1000):
        subscription.put(TaskEvent("progress", {"step_current": step}))
    subscription.put(TaskEvent("completed", {}))
    received = [event async for event in subscription.events()]
    assert [event.name for event in received] == ["status", "progress", "completed"]
    assert received[1].data == {"step_current": 999}


async def test_errors_before_the_stream_starts_are_json(member: PlatformClient, other_team: PlatformClient) -> None:
    task_id = await member.run("text-to-image", SMALL)
    await other_team.get(f"/r/tasks/{task_id}/events", status=404)
    response = await member.http.get(f"/r/tasks/{task_id}/events", headers={"Authorization": "Bearer sk-nobody"})
    assert (response.status_code, list(response.json())) == (401, ["error_message"])


async def test_streams_end_when_the_emulator_stops(tmp_path: Path) -> None:
    lines: list[str] = []

    async with (
        anyio.create_task_group() as group,
        emulator(data=tmp_path) as running,
        connected(running.base_url, running.api_key) as client,
    ):
        task_id = await client.run("text-to-image", LONG)
        await client.wait_for_status(task_id, "running")
        started = anyio.Event()

        async def follow() -> None:
            async with (
                connected(running.base_url, running.api_key) as own,
                own.http.stream("GET", f"/r/tasks/{task_id}/events") as stream,
            ):
                async for line in stream.aiter_lines():
                    lines.append(line)
                    started.set()

        group.start_soon(follow)
        await started.wait()
    assert "completed" not in dict(events_in(lines))
