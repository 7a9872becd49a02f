"""Teams are isolated from each other."""

import pytest

from .platform_client import PlatformClient

SMALL = {"prompt": "sea", "steps": 1, "width": 64, "height": 64}


async def test_a_team_sees_only_its_own_tasks(member: PlatformClient, other_team: PlatformClient) -> None:
    mine, theirs = await member.run("text-to-image", SMALL), await other_team.run("text-to-image", SMALL)
    assert [task["id"] for task in (await member.get("/r/tasks"))["task_list"]] == [mine]
    assert [task["id"] for task in (await other_team.get("/r/tasks"))["task_list"]] == [theirs]
    for path in (f"/r/tasks/{mine}", f"/r/tasks/{mine}/result", f"/r/tasks/{mine}/events"):
        assert await other_team.get(path, status=404) == {"error_message": "resource not found"}
    await other_team.post(f"/r/tasks/{mine}/cancel", status=404)
    await member.wait_for_status(mine, "completed")
    await other_team.wait_for_status(theirs, "completed")


async def test_a_team_cannot_run_the_workflow_of_another(member: PlatformClient, other_team: PlatformClient) -> None:
    mine = (await member.get("/r/workflows/slug/text-to-image"))["id"]
    assert (await other_team.get("/r/workflows/slug/text-to-image"))["id"] != mine
    await other_team.get(f"/r/workflows/{mine}", status=404)
    await other_team.post(f"/r/workflows/{mine}/run", {"parameters": SMALL}, status=404)
    await other_team.get("/r/workflows/slug/needs-a100", status=404)
    assert (await other_team.get("/r/workflows"))["page_meta"]["total_count"] == 3


async def test_a_team_cannot_use_the_file_of_another(
    member: PlatformClient, other_team: PlatformClient, png: bytes
) -> None:
    key = await member.upload(png)
    parameters = {"input_image": key, "prompt": "sea", "steps": 1}
    answer = await other_team.post("/r/workflows/slug/img2img/run", {"parameters": parameters}, status=400)
    assert "input_image" in answer["error_message"]
    assert (await member.run_to_end("img2img", parameters))["task_status"] == "completed"


@pytest.mark.parametrize("slug", ["tiny-llm", "stopped-notebook"])
async def test_a_team_sees_only_its_own_services(other_team: PlatformClient, slug: str) -> None:
    await other_team.get(f"/r/containers/{slug}", status=404)
    await other_team.get(f"/r/containers/{slug}/", status=404)
    await other_team.post(f"/r/invoke/{slug}", {"method": "GET", "path": "/"}, status=404)


async def test_a_team_sees_only_its_own_agents(member: PlatformClient, other_team: PlatformClient) -> None:
    mine = {agent["agent_id"] for agent in (await member.get("/r/agents"))["agent_list"]}
    theirs = {agent["agent_id"] for agent in (await other_team.get("/r/agents"))["agent_list"]}
    assert theirs == {"other-cpu-01"}
    assert not mine & theirs
