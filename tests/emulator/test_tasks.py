"""Tasks and agents: statuses, cancellation, lists."""

import pytest

from .platform_client import TIMESTAMP, UUID_7, PlatformClient

SMALL = {"prompt": "sea", "steps": 1, "width": 64, "height": 64}
LONG = {"prompt": "sea", "steps": 100, "width": 512, "height": 512}


async def test_a_task_goes_through_the_documented_statuses(member: PlatformClient) -> None:
    task_id = await member.run("text-to-image", SMALL)
    assert UUID_7.fullmatch(task_id)
    statuses = [data["status"] for name, data in await member.events(task_id) if name != "progress"]
    assert statuses == ["pending", "queued", "running", "completed"]


async def test_a_task_has_only_the_fields_that_have_a_value(member: PlatformClient) -> None:
    task_id = await member.run("text-to-image", SMALL)
    fresh = await member.get(f"/r/tasks/{task_id}")
    assert fresh["task_status"] == "pending"
    assert fresh["task_error"] == ""
    assert fresh["retry_count"] == 0
    assert not {"started_at", "completed_at", "agent_id", "gpu_type"} & set(fresh)
    done = await member.wait_for_status(task_id, "completed")
    assert done["agent_id"].startswith("emulator-cpu-")
    assert "comfyui" in done["agent_labels"]
    assert done["gpu_type"] == "none (CPU emulator)"
    assert done["task_origin"] == "api_key"
    for name in ("created_at", "started_at", "completed_at"):
        assert TIMESTAMP.fullmatch(done[name])


async def test_the_result_of_an_unfinished_task_has_nulls(member: PlatformClient) -> None:
    task_id = await member.run("needs-a100", {"prompt": "x"})
    result = await member.get(f"/r/tasks/{task_id}/result")
    assert result == {
        "id": task_id,
        "task_status": result["task_status"],
        "task_output": None,
        "download_url": None,
        "download_urls": None,
        "expires_at": None,
        "task_error": "",
        "completed_at": None,
    }
    await member.post(f"/r/tasks/{task_id}/cancel")


async def test_a_task_that_no_agent_can_run_waits_until_it_is_cancelled(member: PlatformClient) -> None:
    task_id = await member.run("needs-a100", {"prompt": "x"})
    await member.wait_for_status(task_id, "waiting")
    assert await member.post(f"/r/tasks/{task_id}/cancel") == {"is_success": True}
    task = await member.get(f"/r/tasks/{task_id}")
    assert task["task_status"] == "cancelled"
    assert "agent_id" not in task


async def test_a_pending_task_can_be_cancelled(member: PlatformClient) -> None:
    task_id = await member.run("text-to-image", SMALL)
    await member.post(f"/r/tasks/{task_id}/cancel")
    assert [name for name, _ in await member.events(task_id)] == ["cancelled"]


async def test_a_running_task_can_be_cancelled_and_its_agent_becomes_idle(member: PlatformClient) -> None:
    task_id = await member.run("text-to-image", LONG)
    agent_id = (await member.wait_for_status(task_id, "running"))["agent_id"]
    assert (await _agent(member, agent_id))["current_task_id"] == task_id
    assert await member.post(f"/r/tasks/{task_id}/cancel") == {"is_success": True}
    await member.wait_for_status(task_id, "cancelled")
    agent = await _agent(member, agent_id)
    assert (agent["agent_status"], agent["running_tasks"]) == ("idle", [])
    result = await member.get(f"/r/tasks/{task_id}/result")
    assert (result["task_output"], result["download_url"], result["task_error"]) == (None, None, "")


async def test_cancelling_an_ended_task_changes_nothing(member: PlatformClient) -> None:
    task_id = (await member.run_to_end("text-to-image", SMALL))["id"]
    assert await member.post(f"/r/tasks/{task_id}/cancel") == {"is_success": True}
    assert (await member.get(f"/r/tasks/{task_id}"))["task_status"] == "completed"


async def test_two_tasks_run_at_a_time_and_the_others_are_queued(member: PlatformClient) -> None:
    first, second, third = [await member.run("text-to-image", LONG) for _ in range(3)]
    await member.wait_for_status(first, "running")
    await member.wait_for_status(second, "running")
    await member.wait_for_status(third, "queued")
    statuses = {agent["agent_id"]: agent["agent_status"] for agent in (await member.get("/r/agents"))["agent_list"]}
    assert statuses == {"emulator-cpu-01": "busy", "emulator-cpu-02": "busy", "emulator-tunnel-01": "tunnel"}
    fourth = await member.run("text-to-image", SMALL)
    await member.wait_for_status(fourth, "queued")
    await member.post(f"/r/tasks/{third}/cancel")
    assert (await member.get(f"/r/tasks/{third}"))["task_status"] == "cancelled"
    await member.post(f"/r/tasks/{first}/cancel")
    await member.wait_for_status(fourth, "completed")
    await member.post(f"/r/tasks/{second}/cancel")
    await member.wait_for_status(second, "cancelled")


async def test_a_task_over_its_time_limit_fails_with_that_reason(member: PlatformClient) -> None:
    result = await member.run_to_end("over-time")
    assert result["task_status"] == "failed"
    assert result["task_error"] == "task timed out after 1 seconds"


async def test_the_list_is_newest_first_and_can_be_filtered(member: PlatformClient) -> None:
    older, newer = await member.run("text-to-image", SMALL), await member.run("text-to-image", SMALL)
    await member.wait_for_status(older, "completed")
    await member.wait_for_status(newer, "completed")
    page = await member.get("/r/tasks?per_page=2")
    assert [task["id"] for task in page["task_list"]] == [newer, older]
    assert all("task_error" not in task and "task_status" in task for task in page["task_list"])
    failed = await member.get("/r/tasks?status=failed")
    assert {task["task_status"] for task in failed["task_list"]} <= {"failed"}
    assert failed["page_meta"]["total_count"] == len(failed["task_list"])
    assert (await member.get("/r/tasks?status=running"))["task_list"] == []


@pytest.mark.parametrize("status", ["done", "", "provisioning"])
async def test_filtering_by_an_unknown_status_is_400(member: PlatformClient, status: str) -> None:
    await member.get(f"/r/tasks?status={status}", status=400)


@pytest.mark.parametrize("path", ["/r/tasks/nothing", "/r/tasks/nothing/result", "/r/tasks/nothing/events"])
async def test_an_unknown_task_is_404(member: PlatformClient, path: str) -> None:
    assert await member.get(path, status=404) == {"error_message": "resource not found"}
    await member.post("/r/tasks/nothing/cancel", status=404)


async def test_agents_do_not_claim_to_have_a_gpu(member: PlatformClient) -> None:
    agents = (await member.get("/r/agents"))["agent_list"]
    for agent in agents:
        assert [device["device_type"] for device in agent["system_stats"]["gpu_devices"]] == ["cpu"]
        assert "gpu" not in agent["agent_labels"]
        assert agent["running_count"] == len(agent["running_tasks"])
    before = sum(agent["tasks_completed"] for agent in agents)
    await member.run_to_end("text-to-image", SMALL)
    assert sum(agent["tasks_completed"] for agent in (await member.get("/r/agents"))["agent_list"]) == before + 1


async def _agent(member: PlatformClient, agent_id: str) -> dict[str, object]:
    agents = (await member.get("/r/agents"))["agent_list"]
    return next(agent for agent in agents if agent["agent_id"] == agent_id)
