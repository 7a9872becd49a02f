"""Runs in flight when the bridge has to end: they are paid for, so they get time to be answered.

A run that stays unanswered is reported as unknown, to the client and to the log, as the server on stdio does it. Any
other call can be made again and is given up at once.
"""

import asyncio
import logging
from collections.abc import Mapping

from cyberun_mcp.bridge.messages import INTERNAL_ERROR, Message, error_line

logger = logging.getLogger(__name__)

_WORKFLOW_OF = {"run_workflow": "workflow_id", "run_workflow_by_slug": "workflow_slug"}  # tool → argument
_UNKNOWN = "The run was sent, but whether it was accepted is unknown."


def workflow_of(message: Message) -> str | None:
    """The workflow that a message runs; None when it is no run."""
    name, arguments = message.params.get("name"), message.params.get("arguments")
    if message.method != "tools/call" or name not in _WORKFLOW_OF:
        return None
    return str(arguments.get(_WORKFLOW_OF[name])) if isinstance(arguments, dict) else ""


async def unanswered(runs: Mapping[asyncio.Task[None], Message], seconds: float) -> list[Message]:
    """The runs among `runs` that are not answered after so many seconds; the log has learned of them."""
    if not runs:
        return []
    for message in runs.values():
        logger.warning(
            "workflow=%s: the run was sent, and the bridge waits for its answer to end", workflow_of(message)
        )
    _, late = await asyncio.wait(runs, timeout=seconds)
    for task in late:
        logger.error("workflow=%s: %s", workflow_of(runs[task]), _UNKNOWN)
    return [runs[task] for task in late]


def unknown_line(message: Message) -> bytes:
    """What the client reads instead of the answer to a run."""
    happened = f"The bridge had to end before the run of workflow {workflow_of(message)} was answered. {_UNKNOWN}"
    return error_line(message.id, INTERNAL_ERROR, f"{happened} Do not run it again yet: look with list_tasks first.")
