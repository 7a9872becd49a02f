"""Paid runs that are still unanswered when the bridge has to end. They get some time; any other call is dropped.

A run that stays unanswered is reported to the client and in the log as having an unknown outcome, as the server on
stdio does it. Other calls can simply be made again.
"""

import asyncio
import logging
from collections.abc import Mapping

from cyberun_mcp.bridge.jsonrpc import INTERNAL_ERROR, Message, error_line

logger = logging.getLogger(__name__)

_WORKFLOW_ARGUMENTS = {"run_workflow": "workflow_id", "run_workflow_by_slug": "workflow_slug"}  # tool → argument
_UNKNOWN = "The run was sent, but whether it was accepted is unknown."


def workflow_of(message: Message) -> str | None:
    """The workflow that a message runs; None if the message is not a run."""
    name, arguments = message.params.get("name"), message.params.get("arguments")
    if message.method != "tools/call" or name not in _WORKFLOW_ARGUMENTS:
        return None
    return str(arguments.get(_WORKFLOW_ARGUMENTS[name])) if isinstance(arguments, dict) else ""


async def wait_for_runs(runs: Mapping[asyncio.Task[None], Message], seconds: float) -> None:
    """Wait up to `seconds` for these runs to be answered, and log that the bridge waits."""
    for message in runs.values():
        logger.warning("workflow=%s: the bridge waits for the answer to this run to end", workflow_of(message))
    if runs:
        await asyncio.wait(runs, timeout=seconds)


def unknown_outcome_line(message: Message) -> bytes:
    """The error that the client gets for an unanswered run. Logs it too."""
    logger.error("workflow=%s: %s", workflow_of(message), _UNKNOWN)
    reason = f"The bridge had to end before the run of workflow {workflow_of(message)} was answered. {_UNKNOWN}"
    return error_line(message.id, INTERNAL_ERROR, f"{reason} Do not run it again yet: look with list_tasks first.")


def unsent_line(message: Message) -> bytes:
    """The error that the client gets for a run that was still waiting for the handshake. Logs it too."""
    logger.warning("workflow=%s: the bridge had to end before this run was sent", workflow_of(message))
    reason = f"The bridge had to end before the run of workflow {workflow_of(message)} was sent."
    return error_line(message.id, INTERNAL_ERROR, f"{reason} Nothing was sent.")
