"""`contact-sheet`: several drawings of one prompt, and a sheet with all of them."""

import math

from PIL import Image

from cyberun_mcp.emulator.workflows.definition import (
    PROMPT,
    SEED,
    ParameterDefinition,
    WorkflowDefinition,
    WorkflowVersion,
)
from cyberun_mcp.emulator.workflows.drawing import ImageAverage
from cyberun_mcp.emulator.workflows.images import add_caption, add_vignette, apply_style, save_png
from cyberun_mcp.emulator.workflows.job import Job, OutputFile, Progress, WorkflowResult
from cyberun_mcp.emulator.workflows.landscape import Landscape
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

_TILE_SIDE = 320
_STEPS_PER_TILE = 12
_MARGIN = 12


def run(job: Job) -> WorkflowResult:
    """Draw `count` tiles with consecutive seeds, then the sheet. Node 9 saves the tiles, node 12 the sheet."""
    count = job.integer("count")
    total = count * _STEPS_PER_TILE + 1
    tiles, outputs = [], []
    for number in range(count):
        tiles.append(_draw_tile(job, number, total))
        outputs.append(
            OutputFile(
                f"9.images.{number}", f"output_{number + 1:05}_.png", {"width": _TILE_SIDE, "height": _TILE_SIDE}
            )
        )
        save_png(tiles[-1], job.folder / outputs[-1].name, job)
    sheet = _arrange(tiles)
    outputs.append(OutputFile("12.images.0", "sheet_00001_.png", {"width": sheet.width, "height": sheet.height}))
    save_png(sheet, job.folder / outputs[-1].name, job)
    job.finish_step(Progress(total, total, node="12"))
    return WorkflowResult(outputs, {"image_count": len(outputs)})


def _draw_tile(job: Job, number: int, total: int) -> Image.Image:
    scene = scene_from_prompt(job.text("prompt"), job.integer("seed") + number)
    landscape, average = Landscape(scene, (_TILE_SIDE, _TILE_SIDE), job), ImageAverage()
    for step in range(1, _STEPS_PER_TILE + 1):
        average.add(landscape.draw(step))
        job.finish_step(Progress(number * _STEPS_PER_TILE + step, total, node="3"))
    finished = add_vignette(apply_style(average.mean(), "natural", scene, job), scene)
    return add_caption(finished, f"{job.text('prompt')} (seed {job.integer('seed') + number})")


def _arrange(tiles: list[Image.Image]) -> Image.Image:
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    pitch = _TILE_SIDE + _MARGIN
    sheet = Image.new("RGB", (columns * pitch + _MARGIN, rows * pitch + _MARGIN), (18, 18, 20))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (_MARGIN + number % columns * pitch, _MARGIN + number // columns * pitch))
    return sheet


CONTACT_SHEET = WorkflowDefinition(
    "contact-sheet",
    (
        WorkflowVersion(
            "Contact Sheet",
            "Draws a prompt with several seeds and puts the drawings on one sheet: several outputs, dispatched as a"
            " cloud task. Procedural, on the CPU: no AI model is involved.",
            (
                PROMPT,
                SEED,
                ParameterDefinition(
                    "count",
                    "number",
                    "Drawings",
                    "How many seeds to draw.",
                    default=4,
                    min=2,
                    max=9,
                    node_id="5",
                    field="batch_size",
                ),
            ),
            run,
            default_dispatch_target="cloud",
        ),
    ),
)
