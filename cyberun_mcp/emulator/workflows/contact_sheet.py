"""`contact-sheet`: several drawings of one prompt, and a sheet with all of them."""

import math

from PIL import Image

from cyberun_mcp.emulator.workflows.drawing import ImageAverage
from cyberun_mcp.emulator.workflows.images import add_caption, add_vignette, apply_style, save_png
from cyberun_mcp.emulator.workflows.job import Job, OutputFile, Progress, WorkflowResult
from cyberun_mcp.emulator.workflows.landscape import Landscape
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

_TILE = 320
_EXPOSURES = 12
_MARGIN = 12


def run(job: Job) -> WorkflowResult:
    """One drawing for each of `count` seeds; node 9 saves them, node 12 the sheet."""
    count = job.integer("count")
    total = count * _EXPOSURES + 1
    tiles, outputs = [], []
    for number in range(count):
        tiles.append(_tile(job, number, total))
        outputs.append(
            OutputFile(f"9.images.{number}", f"output_{number + 1:05}_.png", {"width": _TILE, "height": _TILE})
        )
        save_png(tiles[-1], job.folder / outputs[-1].name, job)
    sheet = _sheet(tiles)
    outputs.append(OutputFile("12.images.0", "sheet_00001_.png", {"width": sheet.width, "height": sheet.height}))
    save_png(sheet, job.folder / outputs[-1].name, job)
    job.finish_step(Progress(total, total, node="12"))
    return WorkflowResult(outputs, {"image_count": len(outputs)})


def _tile(job: Job, number: int, total: int) -> Image.Image:
    scene = scene_from_prompt(job.text("prompt"), job.integer("seed") + number)
    landscape, average = Landscape(scene, (_TILE, _TILE), job), ImageAverage()
    for step in range(1, _EXPOSURES + 1):
        average.add(landscape.draw(step))
        job.finish_step(Progress(number * _EXPOSURES + step, total, node="3"))
    finished = add_vignette(apply_style(average.mean(), "natural", scene, job), scene)
    return add_caption(finished, f"{job.text('prompt')} (seed {job.integer('seed') + number})")


def _sheet(tiles: list[Image.Image]) -> Image.Image:
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    pitch = _TILE + _MARGIN
    sheet = Image.new("RGB", (columns * pitch + _MARGIN, rows * pitch + _MARGIN), (18, 18, 20))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (_MARGIN + number % columns * pitch, _MARGIN + number // columns * pitch))
    return sheet
