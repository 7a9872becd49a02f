"""The files that the workflows produce."""

import io
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from cyberun_mcp.emulator.errors import WorkflowStopped
from cyberun_mcp.emulator.workflows.job import Job
from cyberun_mcp.emulator.workflows.landscape import Landscape
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

from .platform_client import PlatformClient, fetch

SMALL = {"prompt": "sunset over the sea", "steps": 2, "width": 96, "height": 64}


async def primary_output(member: PlatformClient, slug: str, parameters: dict[str, Any]) -> bytes:
    """Run a workflow; returns the content of its primary output."""
    result = await member.run_to_end(slug, parameters)
    assert result["task_status"] == "completed", result["task_error"]
    return (await fetch("GET", result["download_url"])).content


def picture(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as opened:
        opened.load()
        return opened.copy()


async def test_the_same_parameters_give_the_same_bytes(member: PlatformClient) -> None:
    assert await primary_output(member, "text-to-image", SMALL) == await primary_output(member, "text-to-image", SMALL)


@pytest.mark.parametrize("change", [{"prompt": "forest at night"}, {"seed": 1}, {"steps": 3}, {"style": "ink"}])
async def test_other_parameters_give_another_picture(member: PlatformClient, change: dict[str, Any]) -> None:
    before, after = (
        await primary_output(member, "text-to-image", SMALL),
        await primary_output(member, "text-to-image", {**SMALL, **change}),
    )
    assert picture(before).tobytes() != picture(after).tobytes()


@pytest.mark.parametrize("style", ["natural", "watercolour", "ink", "poster"])
async def test_a_picture_has_the_requested_size(member: PlatformClient, style: str) -> None:
    assert picture(await primary_output(member, "text-to-image", {**SMALL, "style": style})).size == (96, 64)


@pytest.mark.parametrize(
    "prompt", ["", "\U0001f30a \u5199\u771f", "a\nb\tc", "snow storm city stars moon birds dunes trees lake " * 40]
)
async def test_any_prompt_can_be_drawn(member: PlatformClient, prompt: str) -> None:
    drawn = picture(await primary_output(member, "text-to-image", {**SMALL, "prompt": prompt}))
    assert max(ImageStat.Stat(drawn).stddev) > 5


async def test_a_picture_states_that_no_model_was_involved(member: PlatformClient) -> None:
    with Image.open(io.BytesIO(await primary_output(member, "text-to-image", SMALL))) as drawn:
        drawn.load()
        assert drawn.info["Comment"] == "procedural drawing by the cyberun-mcp emulator, no AI model involved"
        assert "sunset over the sea" in drawn.info["Parameters"]
    workflow = await member.get("/r/workflows/slug/text-to-image")
    assert "no AI model is involved" in workflow["description"]


async def test_versions_draw_visibly_different_pictures(member: PlatformClient) -> None:
    first = picture(await primary_output(member, "text-to-image@1", {"prompt": "sunset"}))
    third = picture(await primary_output(member, "text-to-image@3", {**SMALL, "prompt": "sunset"}))
    assert first.size == (256, 256)
    red, green, _ = first.getpixel((128, 20))  # type: ignore[misc]
    assert red == green
    assert max(ImageStat.Stat(third.convert("HSV")).mean[1:2]) > 40


async def test_img2img_transforms_the_uploaded_picture(member: PlatformClient, png: bytes) -> None:
    key = await member.upload(png)
    parameters = {"input_image": key, "prompt": "fire", "steps": 2}
    painted = picture(await primary_output(member, "img2img", parameters))
    assert painted.size == (96, 64)
    left, right = painted.crop((0, 0, 20, 40)), painted.crop((76, 0, 96, 40))
    # The sides are still dark and bright like those of the original, but in the colors of fire.
    assert sum(ImageStat.Stat(left).mean) != sum(ImageStat.Stat(right).mean)
    red, _, blue = ImageStat.Stat(painted).mean
    assert red > blue + 20
    faint = picture(await primary_output(member, "img2img", {**parameters, "strength": 0, "grayscale": True}))
    red, _, blue = ImageStat.Stat(faint).mean
    assert abs(red - blue) < 5


async def test_a_file_that_is_not_an_image_fails_the_task(member: PlatformClient) -> None:
    key = await member.upload(b"this is text")
    result = await member.run_to_end("img2img", {"input_image": key, "prompt": "x"})
    assert result["task_status"] == "failed"
    assert result["task_error"].startswith("input_image: cannot read the image")


async def test_a_truncated_image_fails_the_task(member: PlatformClient, png: bytes) -> None:
    result = await member.run_to_end("point-cloud", {"input_image": await member.upload(png[: len(png) // 2])})
    assert result["task_status"] == "failed"


async def test_point_cloud_writes_a_ply_with_brightness_as_depth(member: PlatformClient, png: bytes) -> None:
    parameters = {"input_image": await member.upload(png), "resolution": "64", "max_num_iterations": 40}
    content = await primary_output(member, "point-cloud", parameters)
    head, _, body = content.partition(b"end_header\n")
    assert head.startswith(b"ply\nformat binary_little_endian 1.0\n")
    assert b"element vertex 4096\n" in head
    points = list(struct.iter_unpack("<fffBBB", body))
    assert len(points) == 4096
    assert all(-1 <= x <= 1 and -1 <= y <= 1 and 0 <= z <= 0.6 for x, y, z, *_ in points)
    bright = [z for _, _, z, red, _, _ in points if red > 200]
    dark = [z for _, _, z, red, _, _ in points if red < 50]
    assert min(bright) > max(dark)
    inverted = await primary_output(member, "point-cloud", {**parameters, "invert_depth": True})
    assert inverted != content


async def test_contact_sheet_has_several_outputs(member: PlatformClient) -> None:
    result = await member.run_to_end("contact-sheet", {"prompt": "dunes", "count": 2})
    assert result["download_url"] is None
    assert list(result["download_urls"]) == ["9.images.0", "9.images.1", "12.images.0"]
    assert set(result["task_output"]) == set(result["download_urls"])
    for output, url in result["download_urls"].items():
        described = result["task_output"][output]
        content = (await fetch("GET", url)).content
        assert described["s3_key"].startswith(f"outputs/{result['id']}/")
        assert described["size"] == len(content)
        assert picture(content).size == (described["width"], described["height"])


async def test_always_fails_fails_midway(member: PlatformClient) -> None:
    task_id = await member.run("always-fails", {"fail_at": 0.2})
    events = await member.events(task_id)
    assert [data["step_current"] for name, data in events if name == "progress"][-1] == 4
    name, data = events[-1]
    assert name == "failed"
    assert "failed after step 4 of 20" in data["error"]
    result = await member.get(f"/r/tasks/{task_id}/result")
    assert (result["task_output"], result["task_error"]) == (None, data["error"])


def test_a_drawing_is_stopped_in_the_middle() -> None:
    class StopAfterThreeChecks(threading.Event):
        checks = 0

        def is_set(self) -> bool:
            self.checks += 1
            return self.checks > 3

    stop = StopAfterThreeChecks()
    job = Job({}, {}, Path(), lambda _: None, stop)
    landscape = Landscape(scene_from_prompt("lake", 0), (64, 64), job)
    with pytest.raises(WorkflowStopped):
        landscape.draw(1)
    assert stop.checks == 4
