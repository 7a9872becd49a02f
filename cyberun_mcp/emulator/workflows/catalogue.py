"""All workflows, described."""

from cyberun_mcp.emulator.workflows import (
    always_fails,
    contact_sheet,
    img2img,
    over_time,
    point_cloud,
    text_to_image,
)
from cyberun_mcp.emulator.workflows.definition import ParameterDefinition, WorkflowDefinition, WorkflowVersion
from cyberun_mcp.emulator.workflows.images import STYLES

_PROMPT = ParameterDefinition(
    "prompt",
    "string",
    "Prompt",
    "What to draw. Words such as sunset, night, ocean, forest, city, desert, snow are understood.",
    required=True,
    node_id="6",
    field="text",
)
_SEED = ParameterDefinition(
    "seed",
    "number",
    "Seed",
    "The same prompt and seed give the same picture.",
    default=0,
    min=0,
    max=2**32 - 1,
    node_id="3",
    field="seed",
)
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
            (_PROMPT, _SEED),
            text_to_image.run_version_1,
        ),
        WorkflowVersion(
            "Text to Image",
            "Draws a picture from a prompt. A procedural drawing on the CPU: no AI model is involved.",
            (_PROMPT, _SEED, _STEPS, _side("width", "Width"), _side("height", "Height")),
            text_to_image.run_version_2,
        ),
        WorkflowVersion(
            "Text to Image",
            "Draws a landscape from the words of a prompt, in a style. A procedural drawing on the CPU: no AI model is"
            " involved.",
            (_PROMPT, _SEED, _STEPS, _side("width", "Width"), _side("height", "Height"), _STYLE),
            text_to_image.run,
        ),
    ),
)

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
            always_fails.run,
        ),
    ),
)

_INPUT_IMAGE = ParameterDefinition(
    "input_image",
    "file",
    "Input image",
    "The file_key of an uploaded image.",
    required=True,
    accept=("image/png", "image/jpeg", "image/webp"),
    node_id="10",
    field="image",
)

IMG2IMG = WorkflowDefinition(
    "img2img",
    (
        WorkflowVersion(
            "Image to Image",
            "Paints over an uploaded image in the colours of a prompt. Procedural, on the CPU: no AI model involved.",
            (
                _INPUT_IMAGE,
                _PROMPT,
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
                _SEED,
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
            img2img.run,
        ),
    ),
)

POINT_CLOUD = WorkflowDefinition(
    "point-cloud",
    (
        WorkflowVersion(
            "Point Cloud from Image",
            "Turns an image into a binary .ply of coloured points, with its brightness as depth. Goes through the"
            " stages of a nerfstudio run, on the CPU: a relief is fitted, no radiance field is trained.",
            (
                _INPUT_IMAGE,
                ParameterDefinition(
                    "max_num_iterations",
                    "number",
                    "Iterations",
                    "Relaxations of the relief.",
                    default=200,
                    min=1,
                    max=2000,
                    target_path="train.max_num_iterations",
                ),
                ParameterDefinition(
                    "resolution",
                    "select",
                    "Resolution",
                    "Points along each side.",
                    default="256",
                    options=("64", "128", "256", "384"),
                    target_path="process_data.resolution",
                ),
                ParameterDefinition(
                    "depth_scale",
                    "number",
                    "Depth",
                    "Depth of the relief; the picture is 2 wide.",
                    default=0.6,
                    min=0,
                    max=2,
                    target_path="export.depth_scale",
                ),
                ParameterDefinition(
                    "invert_depth",
                    "boolean",
                    "Dark in front",
                    default=False,
                    target_path="process_data.invert_depth",
                ),
            ),
            point_cloud.run,
            required_labels=("nerfstudio",),
            task_timeout=600,
            tool_type="nerfstudio",
        ),
    ),
)

CONTACT_SHEET = WorkflowDefinition(
    "contact-sheet",
    (
        WorkflowVersion(
            "Contact Sheet",
            "Draws a prompt with several seeds and puts the drawings on one sheet: several outputs, dispatched as a"
            " cloud task. Procedural, on the CPU: no AI model is involved.",
            (
                _PROMPT,
                _SEED,
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
            contact_sheet.run,
            default_dispatch_target="cloud",
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
            over_time.run,
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
            (_PROMPT,),
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
            (_INPUT_IMAGE,),
            img2img.run,
        ),
    ),
    status="disabled",
)

ALL = (TEXT_TO_IMAGE, IMG2IMG, POINT_CLOUD, CONTACT_SHEET, ALWAYS_FAILS, OVER_TIME, NEEDS_A100, RETIRED)
