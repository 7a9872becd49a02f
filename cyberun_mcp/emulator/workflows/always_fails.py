"""`always-fails`: begins like the others, and fails midway."""

from cyberun_mcp.emulator.errors import WorkflowFailed
from cyberun_mcp.emulator.workflows.job import Job, Progress, WorkflowResult
from cyberun_mcp.emulator.workflows.landscape import Landscape
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

_STEPS = 20


def run(job: Job) -> WorkflowResult:
    """Draw as far as asked, then fail the way a graph with a bad node does."""
    landscape = Landscape(scene_from_prompt("storm", 0), (384, 384), job)
    done = int(_STEPS * float(job.parameters["fail_at"]))
    for step in range(1, done + 1):
        landscape.draw(step)
        job.finish_step(Progress(step, _STEPS, node="3"))
    raise WorkflowFailed(
        f"node 8 (VAEDecode) failed after step {done} of {_STEPS}: expected a latent of 4 channels, got 16"
        " (deliberate failure of the emulator's always-fails workflow)"
    )
