"""`over-time`: works on and on, until its time limit ends it."""

from cyberun_mcp.emulator.workflows.job import Job, Progress, Rendered
from cyberun_mcp.emulator.workflows.landscape import Landscape
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

_STEPS = 100_000


def render(job: Job) -> Rendered:
    """Draw a hundred thousand exposures: hours of work, of which the definition allows one second."""
    landscape = Landscape(scene_from_prompt("night", 0), (256, 256), job)
    for step in range(1, _STEPS + 1):
        landscape.draw(step)
        job.finished(Progress(step, _STEPS, node="3"))
    return Rendered([], {"image_count": 0})
