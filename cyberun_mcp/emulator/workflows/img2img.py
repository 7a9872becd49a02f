"""`img2img`: an uploaded picture painted over in the colors of a prompt."""

import random

from PIL import Image, ImageFilter, ImageOps

from cyberun_mcp.emulator.workflows.drawing import ImageAverage
from cyberun_mcp.emulator.workflows.images import add_caption, open_image, save_png
from cyberun_mcp.emulator.workflows.job import Job, OutputFile, Progress, WorkflowResult
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

_NAME = "output_00001_.png"
_LONGEST_SIDE = 1024
_CELLS = 10


def run(job: Job) -> WorkflowResult:
    """Grade the colors towards the prompt's palette, then paint: strokes that begin coarse and become fine."""
    scene = scene_from_prompt(job.text("prompt"), job.integer("seed"))
    strength = float(job.parameters["strength"])
    original = open_image(job.inputs["input_image"], "input_image", longest_side=_LONGEST_SIDE)
    if job.parameters["grayscale"]:
        original = ImageOps.grayscale(original).convert("RGB")
    palette = scene.palette
    tones = ImageOps.autocontrast(ImageOps.grayscale(original), cutoff=1)
    graded = Image.blend(
        original, ImageOps.colorize(tones, palette.near, palette.light, mid=palette.horizon), 0.8 * strength
    )
    average, steps = ImageAverage(), job.integer("steps")
    for step in range(1, steps + 1):
        coarseness = strength * (1 - step / (steps + 1))
        stroke = _moved(graded, scene.rng(f"stroke {step}"), coarseness)
        job.checkpoint()
        average.add(stroke.filter(ImageFilter.GaussianBlur(coarseness * 4)))
        job.finish_step(Progress(step, steps, node="3"))
    finished = Image.blend(average.mean(), graded.filter(ImageFilter.UnsharpMask(3, 120)), 0.35)
    save_png(add_caption(finished, job.text("prompt")), job.folder / _NAME, job)
    return WorkflowResult([OutputFile("9.images.0", _NAME)], {"image_count": 1})


def _moved(picture: Image.Image, rng: random.Random, amount: float) -> Image.Image:
    """The picture on a net whose knots are moved at random."""
    width, height = picture.size
    reach = amount * min(picture.size) * 0.03
    knots = [
        [
            (width * column / _CELLS + rng.gauss(0, reach), height * row / _CELLS + rng.gauss(0, reach))
            for column in range(_CELLS + 1)
        ]
        for row in range(_CELLS + 1)
    ]
    mesh = [
        (
            (
                width * column // _CELLS,
                height * row // _CELLS,
                width * (column + 1) // _CELLS,
                height * (row + 1) // _CELLS,
            ),
            (*knots[row][column], *knots[row + 1][column], *knots[row + 1][column + 1], *knots[row][column + 1]),
        )
        for row in range(_CELLS)
        for column in range(_CELLS)
    ]
    return picture.transform(picture.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
