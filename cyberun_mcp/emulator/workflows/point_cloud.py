"""`point-cloud`: an uploaded image as colored points in space, with bright ones in front.

It reports the stages of a nerfstudio run because it stands for that pipeline. Its "train" stage fits a smooth relief to
the brightness of the image, step by step. No radiance field is involved.
"""

import struct
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps

from cyberun_mcp.emulator.workflows.definition import (
    INPUT_IMAGE,
    ParameterDefinition,
    WorkflowDefinition,
    WorkflowVersion,
)
from cyberun_mcp.emulator.workflows.images import open_image
from cyberun_mcp.emulator.workflows.job import Job, OutputFile, Progress, WorkflowResult

_FILE_NAME = "point_cloud.ply"
_BYTES_PER_POINT = 15
_HEADER = """ply
format binary_little_endian 1.0
comment relief from luminance by the cyberun-mcp emulator on a CPU, no model and no radiance field involved
element vertex {count}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
end_header
"""


class _StageProgress:
    """Counts the steps of all stages together."""

    def __init__(self, job: Job, iterations: int) -> None:
        self._job = job
        self._finished = 0
        self._total = iterations + 6

    def finish_step(self, stage: str, message: str) -> None:
        """Report a finished step."""
        self._finished += 1
        self._job.finish_step(Progress(self._finished, self._total, stage=stage, message=message))


def run(job: Job) -> WorkflowResult:
    """Fit a relief to the image and write it as a binary `.ply` file."""
    iterations, side = job.integer("max_num_iterations"), int(job.text("resolution"))
    progress = _StageProgress(job, iterations)
    picture = open_image(job.inputs["input_image"], "input_image", longest_side=2 * side)
    progress.finish_step("download", f"fetched input_image, {picture.width}x{picture.height} pixels")
    colors = ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC)
    progress.finish_step("process_data", f"resampled to {side}x{side}")
    # Fitted at three times the resolution. Averaging it down turns 8 bits of gray into 11, which avoids terraces.
    target = ImageOps.autocontrast(ImageOps.grayscale(colors)).resize((side * 3, side * 3), Image.Resampling.BICUBIC)
    if job.parameters["invert_depth"]:
        target = ImageOps.invert(target)
    progress.finish_step("process_data", "measured luminance")
    relief = Image.new("L", target.size, 128)
    for iteration in range(1, iterations + 1):
        relief = _relax(relief, target, remaining=1 - iteration / iterations)
        progress.finish_step("train", f"iteration {iteration} of {iterations}")
    points = _encode_points(relief, colors, depth_scale=float(job.parameters["depth_scale"]))
    progress.finish_step("export", f"{side * side} points")
    _write(points, job.folder / _FILE_NAME)
    progress.finish_step("export", f"wrote {_FILE_NAME}")
    progress.finish_step("upload", f"{(job.folder / _FILE_NAME).stat().st_size} bytes")
    count = side * side
    return WorkflowResult([OutputFile("export.ply.0", _FILE_NAME, {"point_count": count})], {"point_count": count})


def _relax(relief: Image.Image, target: Image.Image, *, remaining: float) -> Image.Image:
    """One iteration: closer to the target, and smoothed. `remaining` falls to 0, and the smoothing with it."""
    closer = Image.blend(relief, target, 0.2)
    return closer.filter(ImageFilter.GaussianBlur(0.6 + 3 * remaining))


def _encode_points(relief: Image.Image, colors: Image.Image, *, depth_scale: float) -> bytearray:
    """The points in the format of the file: three floats and three bytes each.

    Copied column by column with slices. A loop over the points would hold the interpreter lock for 0.1 s.
    """
    side = colors.width
    axis = [2 * index / (side - 1) - 1 for index in range(side)]
    depths = (
        relief.convert("F").resize(colors.size, Image.Resampling.BOX).point(lambda gray: gray * (depth_scale / 255))
    )
    columns = (
        struct.pack(f"<{side}f", *axis) * side,
        b"".join(struct.pack("<f", -value) * side for value in axis),
        depths.tobytes("raw", "F;32F"),
    )
    points = bytearray(side * side * _BYTES_PER_POINT)
    for number, column in enumerate(columns):
        for byte in range(4):
            points[number * 4 + byte :: _BYTES_PER_POINT] = column[byte::4]
    pixels = colors.tobytes()
    for channel in range(3):
        points[12 + channel :: _BYTES_PER_POINT] = pixels[channel::3]
    return points


def _write(points: bytearray, file: Path) -> None:
    file.write_bytes(_HEADER.format(count=len(points) // _BYTES_PER_POINT).encode() + points)


POINT_CLOUD = WorkflowDefinition(
    "point-cloud",
    (
        WorkflowVersion(
            "Point Cloud from Image",
            "Turns an image into a binary .ply of coloured points, with its brightness as depth. Goes through the"
            " stages of a nerfstudio run, on the CPU: a relief is fitted, no radiance field is trained.",
            (
                INPUT_IMAGE,
                ParameterDefinition(
                    "max_num_iterations",
                    "number",
                    "Iterations",
                    "Relaxations of the relief.",
                    default=200,
                    min=1,
                    max=2000,
                    target_path="train.max_num_iterations",
                ),
                ParameterDefinition(
                    "resolution",
                    "select",
                    "Resolution",
                    "Points along each side.",
                    default="256",
                    options=("64", "128", "256", "384"),
                    target_path="process_data.resolution",
                ),
                ParameterDefinition(
                    "depth_scale",
                    "number",
                    "Depth",
                    "Depth of the relief; the picture is 2 wide.",
                    default=0.6,
                    min=0,
                    max=2,
                    target_path="export.depth_scale",
                ),
                ParameterDefinition(
                    "invert_depth",
                    "boolean",
                    "Dark in front",
                    default=False,
                    target_path="process_data.invert_depth",
                ),
            ),
            run,
            required_labels=("nerfstudio",),
            task_timeout=600,
            tool_type="nerfstudio",
        ),
    ),
)
