"""Workflows for trying out what can go wrong: one fails, one times out, one never starts, one is disabled."""

from cyberun_mcp.emulator.errors import WorkflowFailed
from cyberun_mcp.emulator.workflows import img2img, text_to_image
from cyberun_mcp.emulator.workflows.definition import (
    INPUT_IMAGE,
    PROMPT,
    ParameterDefinition,
    WorkflowDefinition,
    WorkflowVersion,
)
from cyberun_mcp.emulator.workflows.job import Job, Progress, WorkflowResult
from cyberun_mcp.emulator.workflows.landscape import Landscape
from cyberun_mcp.emulator.workflows.prompts import scene_from_prompt

_FAILING_STEPS = 20
_ENDLESS_STEPS = 100_000


def _run_and_fail(job: Job) -> WorkflowResult:
    """Do the fraction `fail_at` of the work, then fail like a graph with a broken node."""
    completed_steps = int(_FAILING_STEPS * float(job.parameters["fail_at"]))
    _draw_steps(job, "storm", 384, completed_steps, _FAILING_STEPS)
    raise WorkflowFailed(
        f"node 8 (VAEDecode) failed after step {completed_steps} of {_FAILING_STEPS}:"
        " expected a latent of 4 channels, got 16 (deliberate failure of the emulator's always-fails workflow)"
    )


def _run_for_hours(job: Job) -> WorkflowResult:
    """Draw until the time limit of the workflow, which is one second, stops it."""
    _draw_steps(job, "night", 256, _ENDLESS_STEPS, _ENDLESS_STEPS)
    return WorkflowResult([], {"image_count": 0})


def _draw_steps(job: Job, prompt: str, side: int, steps: int, total: int) -> None:
    landscape = Landscape(scene_from_prompt(prompt, 0), (side, side), job)
    for step in range(1, steps + 1):
        landscape.draw(step)
        job.finish_step(Progress(step, total, node="3"))


ALWAYS_FAILS = WorkflowDefinition(
    "always-fails",
    (
        WorkflowVersion(
            "Always Fails",
            "Begins to work and fails midway, for trying out how failures look.",
            (
                ParameterDefinition(
                    "fail_at",
                    "number",
                    "Fail at",
                    "How much of the work to do first.",
                    default=0.5,
                    min=0,
                    max=0.95,
                    node_id="8",
                    field="fail_at",
                ),
            ),
            _run_and_fail,
        ),
    ),
)

OVER_TIME = WorkflowDefinition(
    "over-time",
    (
        WorkflowVersion(
            "Over Time",
            "Works for hours, of which its time limit allows one second, for trying out how timeouts look.",
            (),
            _run_for_hours,
            task_timeout=1,
        ),
    ),
)

NEEDS_A100 = WorkflowDefinition(
    "needs-a100",
    (
        WorkflowVersion(
            "Needs an A100",
            "Requires labels that no agent here has, so its tasks stay waiting until they are cancelled.",
            (PROMPT,),
            text_to_image.run_version_1,
            required_labels=("gpu", "a100"),
            preferred_gpu="A100",
            min_vram_gb=80,
            required_models=("checkpoints/not-in-the-emulator.safetensors",),
        ),
    ),
)

RETIRED = WorkflowDefinition(
    "retired-upscaler",
    (
        WorkflowVersion(
            "Upscaler (retired)",
            "Disabled: runs are refused.",
            (INPUT_IMAGE,),
            img2img.run,
        ),
    ),
    status="disabled",
)
