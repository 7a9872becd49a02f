"""`text-to-image`: a picture drawn from the words of a prompt."""

from PIL import Image, ImageOps

from cyberun_mcp.emulator.workflows.drawing import ImageAverage
from cyberun_mcp.emulator.workflows.images import add_caption, add_vignette, apply_style, save_png
from cyberun_mcp.emulator.workflows.job import Job, OutputFile, Progress, WorkflowResult
from cyberun_mcp.emulator.workflows.landscape import Landscape
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

_SAMPLER_NODE, _NAME = "3", "output_00001_.png"
_IMAGE = OutputFile("9.images.0", _NAME)


def run(job: Job) -> WorkflowResult:
    """Version 3: any size, in a style."""
    return _run(job, (job.integer("width"), job.integer("height")), job.integer("steps"), job.text("style"))


def run_version_2(job: Job) -> WorkflowResult:
    """Version 2: any size, one style."""
    return _run(job, (job.integer("width"), job.integer("height")), job.integer("steps"), "natural")


def run_version_1(job: Job) -> WorkflowResult:
    """Version 1: small and grey."""
    return _run(job, (256, 256), 8, "natural", in_grey=True)


def _run(job: Job, size: tuple[int, int], steps: int, style: str, *, in_grey: bool = False) -> WorkflowResult:
    scene = scene_from_prompt(job.text("prompt"), job.integer("seed"))
    # Drawn larger and then reduced, for finer edges.
    landscape = Landscape(scene, (size[0] * 3 // 2, size[1] * 3 // 2), job)
    average = ImageAverage()
    for step in range(1, steps + 1):
        average.add(landscape.draw(step))
        job.finish_step(Progress(step, steps, node=_SAMPLER_NODE))
    developed = average.mean().resize(size, Image.Resampling.LANCZOS)
    picture = add_vignette(apply_style(developed, style, scene, job), scene)
    if in_grey:
        picture = ImageOps.grayscale(picture).convert("RGB")
    save_png(add_caption(picture, job.text("prompt")), job.folder / _NAME, job)
    return WorkflowResult([_IMAGE], {"image_count": 1})
