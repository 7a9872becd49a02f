"""`text-to-image`: a picture drawn from the words of a prompt."""

from PIL import Image, ImageOps

from cyberun_mcp.emulator.workflows.definition import (
    PROMPT,
    SEED,
    ParameterDefinition,
    WorkflowDefinition,
    WorkflowVersion,
)
from cyberun_mcp.emulator.workflows.drawing import ImageAverage
from cyberun_mcp.emulator.workflows.images import STYLES, add_caption, add_vignette, apply_style, save_png
from cyberun_mcp.emulator.workflows.job import Job, OutputFile, Progress, WorkflowResult
from cyberun_mcp.emulator.workflows.landscape import Landscape
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

_FILE_NAME = "output_00001_.png"


def run_version_1(job: Job) -> WorkflowResult:
    """Small and gray."""
    return _draw_picture(job, (256, 256), 8, "natural", grayscale=True)


def run_version_2(job: Job) -> WorkflowResult:
    """Any size."""
    return _draw_picture(job, (job.integer("width"), job.integer("height")), job.integer("steps"), "natural")


def run_version_3(job: Job) -> WorkflowResult:
    """Any size and style."""
    return _draw_picture(job, (job.integer("width"), job.integer("height")), job.integer("steps"), job.text("style"))


def _draw_picture(
    job: Job, size: tuple[int, int], steps: int, style: str, *, grayscale: bool = False
) -> WorkflowResult:
    scene = scene_from_prompt(job.text("prompt"), job.integer("seed"))
    # Drawn larger and scaled down, for smooth edges.
    landscape = Landscape(scene, (size[0] * 3 // 2, size[1] * 3 // 2), job)
    average = ImageAverage()
    for step in range(1, steps + 1):
        average.add(landscape.draw(step))
        job.finish_step(Progress(step, steps, node="3"))
    scaled = average.mean().resize(size, Image.Resampling.LANCZOS)
    picture = add_vignette(apply_style(scaled, style, scene, job), scene)
    if grayscale:
        picture = ImageOps.grayscale(picture).convert("RGB")
    save_png(add_caption(picture, job.text("prompt")), job.folder / _FILE_NAME, job)
    return WorkflowResult([OutputFile("9.images.0", _FILE_NAME)], {"image_count": 1})


_STEPS = ParameterDefinition(
    "steps",
    "number",
    "Steps",
    "How many exposures are averaged; more are smoother and take longer.",
    default=20,
    min=1,
    max=100,
    node_id="3",
    field="steps",
)


def _side(key: str, label: str) -> ParameterDefinition:
    return ParameterDefinition(
        key, "number", label, "In pixels.", default=512, min=64, max=1024, node_id="5", field=key
    )


_STYLE = ParameterDefinition("style", "select", "Style", default="natural", options=STYLES, node_id="12", field="style")

TEXT_TO_IMAGE = WorkflowDefinition(
    "text-to-image",
    (
        WorkflowVersion(
            "Text to Image (sketch)",
            "Draws a small grey picture from a prompt. A procedural drawing on the CPU: no AI model is involved.",
            (PROMPT, SEED),
            run_version_1,
        ),
        WorkflowVersion(
            "Text to Image",
            "Draws a picture from a prompt. A procedural drawing on the CPU: no AI model is involved.",
            (PROMPT, SEED, _STEPS, _side("width", "Width"), _side("height", "Height")),
            run_version_2,
        ),
        WorkflowVersion(
            "Text to Image",
            "Draws a landscape from the words of a prompt, in a style. A procedural drawing on the CPU: no AI model is"
            " involved.",
            (PROMPT, SEED, _STEPS, _side("width", "Width"), _side("height", "Height"), _STYLE),
            run_version_3,
        ),
    ),
)
