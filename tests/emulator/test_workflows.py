"""The lists and descriptions of workflows."""

import pytest

from .platform_client import TIMESTAMP, UUID_7, PlatformClient


async def test_the_list_has_summaries_without_parameters(member: PlatformClient) -> None:
    answer = await member.get("/r/workflows")
    assert answer["page_meta"] == {"current_page": 1, "per_page": 20, "total_count": len(answer["workflow_list"])}
    for item in answer["workflow_list"]:
        assert "parameters" not in item
        assert "workflow_json" not in item
        assert None not in item.values()
        assert UUID_7.fullmatch(item["id"])
        assert TIMESTAMP.fullmatch(item["created_at"])


async def test_pages_follow_one_another(member: PlatformClient) -> None:
    whole = (await member.get("/r/workflows"))["workflow_list"]
    first = await member.get("/r/workflows?per_page=3")
    second = await member.get("/r/workflows?per_page=3&current_page=2")
    beyond = await member.get("/r/workflows?per_page=100&current_page=9")
    assert first["workflow_list"] + second["workflow_list"] == whole[:6]
    assert second["page_meta"] == {"current_page": 2, "per_page": 3, "total_count": len(whole)}
    assert beyond["workflow_list"] == []


@pytest.mark.parametrize("path", ["/r/workflows", "/r/tasks", "/r/agents", "/r/containers"])
@pytest.mark.parametrize(
    "query",
    ["current_page=0", "current_page=-1", "per_page=0", "per_page=101", "per_page=x", "current_page=" + "9" * 30],
)
async def test_a_page_out_of_range_is_400(member: PlatformClient, path: str, query: str) -> None:
    assert list(await member.get(f"{path}?{query}", status=400)) == ["error_message"]


async def test_every_workflow_is_the_same_by_id_and_by_slug(member: PlatformClient) -> None:
    for item in (await member.get("/r/workflows"))["workflow_list"]:
        detail = await member.get(f"/r/workflows/{item['id']}")
        assert detail == await member.get(f"/r/workflows/slug/{item['workflow_slug']}")
        assert {name: detail[name] for name in item} == item
        for parameter in detail["parameters"]:
            assert {"key", "type", "label", "required"} <= set(parameter)
            assert parameter["type"] in ("string", "number", "boolean", "select", "file")


async def test_an_older_version_keeps_its_own_parameters(member: PlatformClient) -> None:
    async def keys(slug: str) -> list[str]:
        return [parameter["key"] for parameter in (await member.get(f"/r/workflows/slug/{slug}"))["parameters"]]

    assert await keys("text-to-image@1") == ["prompt", "seed"]
    assert await keys("text-to-image@2") == ["prompt", "seed", "steps", "width", "height"]
    assert await keys("text-to-image@3") == await keys("text-to-image")
    assert await keys("text-to-image%403") == await keys("text-to-image")
    assert (await member.get("/r/workflows/slug/text-to-image"))["version"] == 3
    assert (await member.get("/r/workflows/slug/text-to-image@1"))["version"] == 1


@pytest.mark.parametrize("slug", ["nothing", "text-to-image@4", "text-to-image@0", "text-to-image@", "text-to-image@x"])
async def test_an_unknown_slug_or_version_is_404(member: PlatformClient, slug: str) -> None:
    assert await member.get(f"/r/workflows/slug/{slug}", status=404) == {"error_message": "resource not found"}
    await member.post(f"/r/workflows/slug/{slug}/run", {}, status=404)
