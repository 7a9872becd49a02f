"""Run requests: what is accepted, and which parameters are rejected."""

from typing import Any

import pytest

from .platform_client import PlatformClient

SMALL = {"prompt": "sea", "steps": 1, "width": 64, "height": 64}


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
