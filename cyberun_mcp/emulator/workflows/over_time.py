"""`over-time`: works on and on, until its time limit ends it."""

from cyberun_mcp.emulator.workflows.job import Job, Progress, WorkflowResult
from cyberun_mcp.emulator.workflows.landscape import Landscape
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

_STEPS = 100_000


def run(job: Job) -> WorkflowResult:
    """Draw a hundred thousand exposures: hours of work, of which the definition allows one second."""
    landscape = Landscape(scene_from_prompt("night", 0), (256, 256), job)
    for step in range(1, _STEPS + 1):
        landscape.draw(step)
        job.finish_step(Progress(step, _STEPS, node="3"))
    return WorkflowResult([], {"image_count": 0})
