"""`img2img`: an uploaded picture painted over in the colors of a prompt."""

import random

from PIL import Image, ImageFilter, ImageOps

from cyberun_mcp.emulator.workflows.definition import (
    INPUT_IMAGE,
    PROMPT,
    SEED,
    ParameterDefinition,
    WorkflowDefinition,
    WorkflowVersion,
)
from cyberun_mcp.emulator.workflows.drawing import ImageAverage
from cyberun_mcp.emulator.workflows.images import add_caption, open_image, save_png
from cyberun_mcp.emulator.workflows.job import Job, OutputFile, Progress, WorkflowResult
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

_FILE_NAME = "output_00001_.png"
_LONGEST_SIDE = 1024
_GRID_CELLS = 10


def run(job: Job) -> WorkflowResult:
    """Shift the colors toward the palette of the prompt, then average distortions of it that become ever weaker."""
    scene = scene_from_prompt(job.text("prompt"), job.integer("seed"))
    strength = float(job.parameters["strength"])
    original = open_image(job.inputs["input_image"], "input_image", longest_side=_LONGEST_SIDE)
    if job.parameters["grayscale"]:
        original = ImageOps.grayscale(original).convert("RGB")
    palette = scene.palette
    gray = ImageOps.autocontrast(ImageOps.grayscale(original), cutoff=1)
    recolored = Image.blend(
        original, ImageOps.colorize(gray, palette.near, palette.light, mid=palette.horizon), 0.8 * strength
    )
    average, steps = ImageAverage(), job.integer("steps")
    for step in range(1, steps + 1):
        distortion = strength * (1 - step / (steps + 1))
        distorted = _distort(recolored, scene.rng(f"stroke {step}"), distortion)
        job.checkpoint()
        average.add(distorted.filter(ImageFilter.GaussianBlur(distortion * 4)))
        job.finish_step(Progress(step, steps, node="3"))
    finished = Image.blend(average.mean(), recolored.filter(ImageFilter.UnsharpMask(3, 120)), 0.35)
    save_png(add_caption(finished, job.text("prompt")), job.folder / _FILE_NAME, job)
    return WorkflowResult([OutputFile("9.images.0", _FILE_NAME)], {"image_count": 1})


def _distort(picture: Image.Image, rng: random.Random, amount: float) -> Image.Image:
    """The picture on a grid whose points are moved at random."""
    width, height = picture.size
    reach = amount * min(picture.size) * 0.03
    points = [
        [
            (width * column / _GRID_CELLS + rng.gauss(0, reach), height * row / _GRID_CELLS + rng.gauss(0, reach))
            for column in range(_GRID_CELLS + 1)
        ]
        for row in range(_GRID_CELLS + 1)
    ]
    mesh = [
        (
            (
                width * column // _GRID_CELLS,
                height * row // _GRID_CELLS,
                width * (column + 1) // _GRID_CELLS,
                height * (row + 1) // _GRID_CELLS,
            ),
            (*points[row][column], *points[row + 1][column], *points[row + 1][column + 1], *points[row][column + 1]),
        )
        for row in range(_GRID_CELLS)
        for column in range(_GRID_CELLS)
    ]
    return picture.transform(picture.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


IMG2IMG = WorkflowDefinition(
    "img2img",
    (
        WorkflowVersion(
            "Image to Image",
            "Paints over an uploaded image in the colours of a prompt. Procedural, on the CPU: no AI model involved.",
            (
                INPUT_IMAGE,
                PROMPT,
                ParameterDefinition(
                    "strength",
                    "number",
                    "Strength",
                    "How far to go from the original.",
                    default=0.6,
                    min=0,
                    max=1,
                    node_id="3",
                    field="denoise",
                ),
                ParameterDefinition(
                    "steps",
                    "number",
                    "Steps",
                    "How many layers of strokes.",
                    default=36,
                    min=1,
                    max=100,
                    node_id="3",
                    field="steps",
                ),
                SEED,
                ParameterDefinition(
                    "grayscale",
                    "boolean",
                    "Grayscale first",
                    "Drop the original's colours.",
                    default=False,
                    node_id="11",
                    field="enabled",
                ),
            ),
            run,
        ),
    ),
)
