"""All workflows, described."""

from cyberun_mcp.emulator.workflows import always_fails, text_to_image
from cyberun_mcp.emulator.workflows.definition import Definition, Parameter, Workflow
from cyberun_mcp.emulator.workflows.finishing import STYLES

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

ALL = (TEXT_TO_IMAGE, ALWAYS_FAILS)
