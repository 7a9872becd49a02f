"""What can be run, and what a run request has to look like."""

import re
from typing import Any

import pytest

from .platform_client import PlatformClient

SMALL = {"prompt": "sea", "steps": 1, "width": 64, "height": 64}
UUID_7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


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


async def test_a_workflow_can_be_run_by_id(member: PlatformClient) -> None:
    workflow = await member.get("/r/workflows/slug/text-to-image")
    answer = await member.post(f"/r/workflows/{workflow['id']}/run", {"parameters": SMALL}, status=202)
    assert list(answer) == ["task_id"]
    task = await member.get(f"/r/tasks/{answer['task_id']}")
    assert task["workflow_id"] == workflow["id"]
    await member.post("/r/workflows/nothing/run", {}, status=404)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"steps": 0}, "steps"),
        ({"steps": 101}, "steps"),
        ({"steps": "20"}, "steps"),
        ({"steps": True}, "steps"),
        ({"seed": 10**400}, "seed"),
        ({"width": 63}, "width"),
        ({"style": "cubist"}, "style"),
        ({"style": ["ink"]}, "style"),
    ],
)
async def test_an_invalid_parameter_is_400_and_named_in_the_message(
    member: PlatformClient, change: dict[str, Any], named: str
) -> None:
    answer = await member.post("/r/workflows/slug/text-to-image/run", {"parameters": {**SMALL, **change}}, status=400)
    assert named in answer["error_message"]


@pytest.mark.parametrize("content", ['{"steps": NaN}', '{"steps": Infinity}', "[]", '"prompt"'])
async def test_parameters_that_are_not_valid_json_are_400(member: PlatformClient, content: str) -> None:
    body = f'{{"parameters": {content}}}'.encode()
    response = await member.http.post("/r/workflows/slug/always-fails/run", content=body.replace(b"steps", b"fail_at"))
    assert response.status_code == 400


async def test_a_boolean_parameter_requires_a_boolean(member: PlatformClient, png: bytes) -> None:
    parameters = {"prompt": "x", "input_image": await member.upload(png), "grayscale": "yes"}
    answer = await member.post("/r/workflows/slug/img2img/run", {"parameters": parameters}, status=400)
    assert "grayscale" in answer["error_message"]


@pytest.mark.parametrize("key", ["inputs/nowhere.png", "../../etc/passwd", 7])
async def test_a_file_that_was_not_uploaded_is_400(member: PlatformClient, key: object) -> None:
    parameters = {"prompt": "x", "input_image": key}
    answer = await member.post("/r/workflows/slug/img2img/run", {"parameters": parameters}, status=400)
    assert "input_image" in answer["error_message"]


async def test_a_file_that_was_only_presigned_is_400(member: PlatformClient) -> None:
    parameters = {"input_image": (await member.presign(10))["file_key"]}
    await member.post("/r/workflows/slug/point-cloud/run", {"parameters": parameters}, status=400)


async def test_unknown_parameters_are_ignored(member: PlatformClient) -> None:
    result = await member.run_to_end("text-to-image", {**SMALL, "sampler": "euler"})
    assert result["task_status"] == "completed"


async def test_a_disabled_workflow_cannot_be_run(member: PlatformClient) -> None:
    workflow = await member.get("/r/workflows/slug/retired-upscaler")
    assert workflow["workflow_status"] == "disabled"
    answer = await member.post("/r/workflows/slug/retired-upscaler/run", {}, status=409)
    assert "disabled" in answer["error_message"]


@pytest.mark.parametrize("field", [{"dispatch_target": "moon"}, {"tool_type": "nerfstudio"}, {"target_pool": 3}])
async def test_the_other_fields_of_a_run_are_checked(member: PlatformClient, field: dict[str, Any]) -> None:
    await member.post("/r/workflows/slug/text-to-image/run", {"parameters": SMALL, **field}, status=400)


async def test_the_other_fields_of_a_run_are_stored(member: PlatformClient) -> None:
    extra = {"target_pool": "shared", "submitter_region": "us-east", "tool_type": "comfyui", "dispatch_target": "cloud"}
    task = await member.get(f"/r/tasks/{await member.run('text-to-image', SMALL, **extra)}")
    assert (task["target_pool"], task["dispatch_target"], task["tool_type"]) == ("shared", "cloud", "comfyui")
