"""The workflows: a module for each, with its description and the code that really runs it."""

from cyberun_mcp.emulator.workflows.contact_sheet import CONTACT_SHEET
from cyberun_mcp.emulator.workflows.deliberate_failures import ALWAYS_FAILS, NEEDS_A100, OVER_TIME, RETIRED
from cyberun_mcp.emulator.workflows.img2img import IMG2IMG
from cyberun_mcp.emulator.workflows.point_cloud import POINT_CLOUD
from cyberun_mcp.emulator.workflows.text_to_image import TEXT_TO_IMAGE

__all__ = ["ALL_WORKFLOWS", "ALWAYS_FAILS", "IMG2IMG", "TEXT_TO_IMAGE"]

ALL_WORKFLOWS = (
    TEXT_TO_IMAGE,
    IMG2IMG,
    POINT_CLOUD,
    CONTACT_SHEET,
    ALWAYS_FAILS,
    OVER_TIME,
    NEEDS_A100,
    RETIRED,
)
