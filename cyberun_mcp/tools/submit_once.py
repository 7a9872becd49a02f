"""Sending a run exactly once, and repairing what goes wrong.

A run that is sent twice is paid for twice. So a run without a response is never repeated: the error says that the
outcome is unknown, and names the tasks that it may have become, for the model to adopt.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from cyberun_mcp.api.platform_clock import Moment
from cyberun_mcp.api.responses import JsonObject
from cyberun_mcp.errors import (
    ApiError,
    CyberunError,
    OutcomeUnknown,
    UnexpectedResponse,
    Unreachable,
    may_have_run,
)
from cyberun_mcp.tools.lost_runs import advice_on_lost_run
from cyberun_mcp.tools.registry import ToolCall, ToolResult
from cyberun_mcp.tools.results import prune

if TYPE_CHECKING:
    from cyberun_mcp.api.client import CyberunClient

logger = logging.getLogger(__name__)

SEARCH_TIME = 10.0  # seconds of a call reserved for finding a lost run, but never more than SEARCH_SHARE of it
SEARCH_SHARE = 0.3

Request = Callable[["CyberunClient"], Awaitable[JsonObject]]


async def submit_once(call: ToolCall, workflow: str, send_run: Request, get_workflow: Request) -> ToolResult:
    """The result of one run. Raises OutcomeUnknown when it was sent and may or may not have been accepted.

    `workflow` is the workflow's id or slug, for the log.
    """
    api, sent_at = call.api, Moment.now()
    time_left = api.deadline - anyio.current_time()
    send_deadline = api.deadline - min(SEARCH_TIME, SEARCH_SHARE * time_left)
    with call.in_flight.run(workflow) as run:
        try:
            submitted = _with_task_id(await send_run(api.until(send_deadline, on_sent=run.mark_sent)))
        except (ApiError, UnexpectedResponse, Unreachable) as error:
            if _may_have_been_accepted(error):
                raise await _outcome_unknown(api, get_workflow, sent_at, error) from error
            run.mark_rejected()
            if isinstance(error, ApiError) and error.status == 400:
                raise error.with_hints(details=await _describe_parameters(api, get_workflow)) from error
            raise
    logger.info("workflow=%s task=%s", workflow, submitted["task_id"])  # the caller may be gone before it reads this
    return ToolResult(prune(submitted))


def _with_task_id(submitted: JsonObject) -> JsonObject:
    task_id = submitted.get("task_id")
    if not isinstance(task_id, str) or not task_id.strip():
        raise UnexpectedResponse(202, "the answer has no task_id")
    return submitted


def _may_have_been_accepted(error: ApiError | UnexpectedResponse | Unreachable) -> bool:
    match error:
        case Unreachable():
            return error.sent
        case UnexpectedResponse():
            # A proxy that answers with a 3xx or 4xx page has rejected the run instead of forwarding it.
            return error.status < 300 or may_have_run(error.status)
        case ApiError():
            return may_have_run(error.status)


async def _describe_parameters(api: "CyberunClient", get_workflow: Request) -> str:
    """The workflow's parameters, one per line, for a run that the platform rejected as invalid."""
    try:
        parameters = (await get_workflow(api)).get("parameters")
    except CyberunError:
        return ""  # the platform's own message matters more than this extra help
    parameters = parameters if isinstance(parameters, list) else []
    lines = [_describe_parameter(parameter) for parameter in parameters if isinstance(parameter, dict)]
    return "\n".join(["Parameters of this workflow:", *lines]) if lines else ""


def _describe_parameter(parameter: JsonObject) -> str:
    words = [str(parameter.get("type", "any")), "required" if parameter.get("required") else "optional"]
    words += [f"{name} {parameter[name]!r}" for name in ("default", "min", "max") if parameter.get(name) is not None]
    if options := parameter.get("options"):
        words.append(f"one of {options}")
    return f"- {parameter.get('key')}: {', '.join(words)}"


async def _outcome_unknown(
    api: "CyberunClient", get_workflow: Request, sent_at: Moment, error: CyberunError
) -> OutcomeUnknown:
    """The error of a run that may exist. It names the tasks that may be it, so that no one pays twice."""
    try:
        advice = await advice_on_lost_run(api, await get_workflow(api), sent_at)
    except CyberunError as lookup_error:
        advice = f"Do not run it again yet: look with list_tasks first (looking failed just now: {lookup_error})."
    return OutcomeUnknown(f"{error}\nThe run was sent, but whether it was accepted is unknown.", advice=advice)
