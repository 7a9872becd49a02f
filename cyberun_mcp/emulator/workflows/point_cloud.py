"""`point-cloud`: an uploaded picture as colored points in space, bright ones in front.

It goes through the stages of a nerfstudio run because that is the pipeline it stands for. What "train" does here is to
fit a smooth relief to the picture's brightness, by relaxation; no radiance field is involved.
"""

import struct
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps

from cyberun_mcp.emulator.workflows.images import open_image
from cyberun_mcp.emulator.workflows.job import Job, OutputFile, Progress, WorkflowResult

_NAME = "point_cloud.ply"
_POINT_BYTES = 15
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


class _Stages:
    """Counts the steps of all stages as one."""

    def __init__(self, job: Job, iterations: int) -> None:
        self._job = job
        self._done = 0
        self._total = iterations + 6

    def finished(self, stage: str, message: str) -> None:
        """Report a step."""
        self._done += 1
        self._job.finish_step(Progress(self._done, self._total, stage=stage, message=message))


def run(job: Job) -> WorkflowResult:
    """Image in, `.ply` out."""
    iterations, side = job.integer("max_num_iterations"), int(job.text("resolution"))
    stages = _Stages(job, iterations)
    picture = open_image(job.inputs["input_image"], "input_image", longest_side=2 * side)
    stages.finished("download", f"fetched input_image, {picture.width}x{picture.height} pixels")
    colors = ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC)
    stages.finished("process_data", f"resampled to {side}x{side}")
    # Fitted at three times the resolution: averaged down, eight bits of gray become eleven: no terraces in the relief.
    target = ImageOps.autocontrast(ImageOps.grayscale(colors)).resize((side * 3, side * 3), Image.Resampling.BICUBIC)
    if job.parameters["invert_depth"]:
        target = ImageOps.invert(target)
    stages.finished("process_data", "measured luminance")
    relief = Image.new("L", target.size, 128)
    for iteration in range(1, iterations + 1):
        relief = _relaxed(relief, target, remaining=1 - iteration / iterations)
        stages.finished("train", f"iteration {iteration} of {iterations}")
    cloud = _points(relief, colors, depth_scale=float(job.parameters["depth_scale"]))
    stages.finished("export", f"{side * side} points")
    _write(cloud, job.folder / _NAME)
    stages.finished("export", f"wrote {_NAME}")
    stages.finished("upload", f"{(job.folder / _NAME).stat().st_size} bytes")
    count = side * side
    return WorkflowResult([OutputFile("export.ply.0", _NAME, {"point_count": count})], {"point_count": count})


def _relaxed(relief: Image.Image, target: Image.Image, *, remaining: float) -> Image.Image:
    """One iteration: towards the target, smoothed the more the earlier."""
    nearer = Image.blend(relief, target, 0.2)
    return nearer.filter(ImageFilter.GaussianBlur(0.6 + 3 * remaining))


def _points(relief: Image.Image, colors: Image.Image, *, depth_scale: float) -> bytearray:
    """The points as the file has them: three floats and three bytes each.

    Put together column by column with strided copies, which C does; point by point Python would hold the interpreter
    for a tenth of a second.
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
    cloud = bytearray(side * side * _POINT_BYTES)
    for number, column in enumerate(columns):
        for byte in range(4):
            cloud[number * 4 + byte :: _POINT_BYTES] = column[byte::4]
    pixels = colors.tobytes()
    for channel in range(3):
        cloud[12 + channel :: _POINT_BYTES] = pixels[channel::3]
    return cloud


def _write(cloud: bytearray, file: Path) -> None:
    file.write_bytes(_HEADER.format(count=len(cloud) // _POINT_BYTES).encode() + cloud)
