"""All workflows, described."""

from cyberun_mcp.emulator.workflows import (
    always_fails,
    contact_sheet,
    img2img,
    over_time,
    point_cloud,
    text_to_image,
)
from cyberun_mcp.emulator.workflows.definition import Definition, Parameter, Workflow
from cyberun_mcp.emulator.workflows.images import STYLES

_PROMPT = Parameter(
    "prompt",
    "string",
    "Prompt",
    "What to draw. Words such as sunset, night, ocean, forest, city, desert, snow are understood.",
    required=True,
    node_id="6",
    field="text",
)
_SEED = Parameter(
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
_STEPS = Parameter(
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


def _side(key: str, label: str) -> Parameter:
    return Parameter(key, "number", label, "In pixels.", default=512, min=64, max=1024, node_id="5", field=key)


_STYLE = Parameter("style", "select", "Style", default="natural", options=STYLES, node_id="12", field="style")

TEXT_TO_IMAGE = Workflow(
    "text-to-image",
    (
        Definition(
            "Text to Image (sketch)",
            "Draws a small grey picture from a prompt. A procedural drawing on the CPU: no AI model is involved.",
            (_PROMPT, _SEED),
            text_to_image.render_version_1,
        ),
        Definition(
            "Text to Image",
            "Draws a picture from a prompt. A procedural drawing on the CPU: no AI model is involved.",
            (_PROMPT, _SEED, _STEPS, _side("width", "Width"), _side("height", "Height")),
            text_to_image.render_version_2,
        ),
        Definition(
            "Text to Image",
            "Draws a landscape from the words of a prompt, in a style. A procedural drawing on the CPU: no AI model is"
            " involved.",
            (_PROMPT, _SEED, _STEPS, _side("width", "Width"), _side("height", "Height"), _STYLE),
            text_to_image.render,
        ),
    ),
)

ALWAYS_FAILS = Workflow(
    "always-fails",
    (
        Definition(
            "Always Fails",
            "Begins to work and fails midway, for trying out how failures look.",
            (
                Parameter(
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
            always_fails.render,
        ),
    ),
)

_INPUT_IMAGE = Parameter(
    "input_image",
    "file",
    "Input image",
    "The file_key of an uploaded image.",
    required=True,
    accept=("image/png", "image/jpeg", "image/webp"),
    node_id="10",
    field="image",
)

IMG2IMG = Workflow(
    "img2img",
    (
        Definition(
            "Image to Image",
            "Paints over an uploaded image in the colours of a prompt. Procedural, on the CPU: no AI model involved.",
            (
                _INPUT_IMAGE,
                _PROMPT,
                Parameter(
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
                Parameter(
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
                Parameter(
                    "grayscale",
                    "boolean",
                    "Grayscale first",
                    "Drop the original's colours.",
                    default=False,
                    node_id="11",
                    field="enabled",
                ),
            ),
            img2img.render,
        ),
    ),
)

POINT_CLOUD = Workflow(
    "point-cloud",
    (
        Definition(
            "Point Cloud from Image",
            "Turns an image into a binary .ply of coloured points, with its brightness as depth. Goes through the"
            " stages of a nerfstudio run, on the CPU: a relief is fitted, no radiance field is trained.",
            (
                _INPUT_IMAGE,
                Parameter(
                    "max_num_iterations",
                    "number",
                    "Iterations",
                    "Relaxations of the relief.",
                    default=200,
                    min=1,
                    max=2000,
                    target_path="train.max_num_iterations",
                ),
                Parameter(
                    "resolution",
                    "select",
                    "Resolution",
                    "Points along each side.",
                    default="256",
                    options=("64", "128", "256", "384"),
                    target_path="process_data.resolution",
                ),
                Parameter(
                    "depth_scale",
                    "number",
                    "Depth",
                    "Depth of the relief; the picture is 2 wide.",
                    default=0.6,
                    min=0,
                    max=2,
                    target_path="export.depth_scale",
                ),
                Parameter(
                    "invert_depth",
                    "boolean",
                    "Dark in front",
                    default=False,
                    target_path="process_data.invert_depth",
                ),
            ),
            point_cloud.render,
            required_labels=("nerfstudio",),
            task_timeout=600,
            tool_type="nerfstudio",
        ),
    ),
)

CONTACT_SHEET = Workflow(
    "contact-sheet",
    (
        Definition(
            "Contact Sheet",
            "Draws a prompt with several seeds and puts the drawings on one sheet: several outputs, dispatched as a"
            " cloud task. Procedural, on the CPU: no AI model is involved.",
            (
                _PROMPT,
                _SEED,
                Parameter(
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
            contact_sheet.render,
            default_dispatch_target="cloud",
        ),
    ),
)

OVER_TIME = Workflow(
    "over-time",
    (
        Definition(
            "Over Time",
            "Works for hours, of which its time limit allows one second, for trying out how timeouts look.",
            (),
            over_time.render,
            task_timeout=1,
        ),
    ),
)

NEEDS_A100 = Workflow(
    "needs-a100",
    (
        Definition(
            "Needs an A100",
            "Requires labels that no agent here has, so its tasks stay waiting until they are cancelled.",
            (_PROMPT,),
            text_to_image.render_version_1,
            required_labels=("gpu", "a100"),
            preferred_gpu="A100",
            min_vram_gb=80,
            required_models=("checkpoints/not-in-the-emulator.safetensors",),
        ),
    ),
)

RETIRED = Workflow(
    "retired-upscaler",
    (
        Definition(
            "Upscaler (retired)",
            "Disabled: runs are refused.",
            (_INPUT_IMAGE,),
            img2img.render,
        ),
    ),
    status="disabled",
)

ALL = (TEXT_TO_IMAGE, IMG2IMG, POINT_CLOUD, CONTACT_SHEET, ALWAYS_FAILS, OVER_TIME, NEEDS_A100, RETIRED)
