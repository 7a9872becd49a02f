"""Sending a run exactly once, and making the most of whatever comes back instead of a task id.

A run that is sent twice is paid twice, so after a lost answer nothing is repeated: the error says that the outcome is
unknown and names the tasks that may be the one, for the model to adopt.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from cyberun_mcp.api.answers import JsonObject
from cyberun_mcp.api.clock import Moment
from cyberun_mcp.errors import (
    ApiError,
    CyberunError,
    OutcomeUnknown,
    UnexpectedAnswer,
    Unreachable,
    leaves_doubt,
)
from cyberun_mcp.tools.candidates import advice_on_lost_run
from cyberun_mcp.tools.registry import Answer, Call
from cyberun_mcp.tools.results import prune

if TYPE_CHECKING:
    from cyberun_mcp.api.client import CyberunClient

logger = logging.getLogger(__name__)

LOOKING = 10.0  # seconds of a call kept for finding the candidates, but never more than LOOKING_SHARE of it
LOOKING_SHARE = 0.3

Request = Callable[["CyberunClient"], Awaitable[JsonObject]]


async def submit(call: Call, workflow: str, send: Request, look_up: Request) -> Answer:
    """The answer to one run. Raises OutcomeUnknown when it was sent and may or may not have been accepted.

    `workflow` is the id or slug of what it is of. `send` sends the run, `look_up` reads the workflow.
    """
    api, sent = call.api, Moment.now()
    left = api.deadline - anyio.current_time()
    until = api.deadline - min(LOOKING, LOOKING_SHARE * left)
    with call.in_flight.run(workflow) as run:
        try:
            submitted = _with_task_id(await send(api.until(until, on_sent=run.note_sent)))
        except (ApiError, UnexpectedAnswer, Unreachable) as error:
            if _may_have_been_accepted(error):
                raise await _unknown_outcome(api, look_up, sent, error) from error
            run.note_refused()
            if isinstance(error, ApiError) and error.status == 400:
                error.details = await _parameters_in_words(api, look_up)
            raise
    logger.info("workflow=%s task=%s", workflow, submitted["task_id"])  # the caller may be gone before it reads this
    return Answer(prune(submitted))


def _with_task_id(submitted: JsonObject) -> JsonObject:
    task_id = submitted.get("task_id")
    if not isinstance(task_id, str) or not task_id.strip():
        raise UnexpectedAnswer(202, "the answer has no task_id")
    return submitted


def _may_have_been_accepted(error: ApiError | UnexpectedAnswer | Unreachable) -> bool:
    match error:
        case Unreachable():
            return error.sent
        case UnexpectedAnswer():
            # Whatever stands in for the platform with a 3xx or 4xx has refused the run rather than passed it on.
            return error.status < 300 or leaves_doubt(error.status)
        case ApiError():
            return leaves_doubt(error.status)


async def _parameters_in_words(api: "CyberunClient", look_up: Request) -> str:
    """What the workflow takes, one line a parameter, for a run the platform found wrong."""
    try:
        parameters = (await look_up(api)).get("parameters")
    except CyberunError:
        return ""  # the platform's own message is the news; this was to help with it
    known = [each for each in parameters if isinstance(each, dict)] if isinstance(parameters, list) else []
    return "\n".join(["Parameters of this workflow:", *map(_in_words, known)]) if known else ""


def _in_words(parameter: JsonObject) -> str:
    words = [str(parameter.get("type", "any")), "required" if parameter.get("required") else "optional"]
    words += [f"{name} {parameter[name]!r}" for name in ("default", "min", "max") if parameter.get(name) is not None]
    if options := parameter.get("options"):
        words.append(f"one of {options}")
    return f"- {parameter.get('key')}: {', '.join(words)}"


async def _unknown_outcome(api: "CyberunClient", look_up: Request, sent: Moment, error: CyberunError) -> OutcomeUnknown:
    """The error of a run that may exist, naming the tasks that may be it, so that nobody pays twice."""
    unknown = OutcomeUnknown(f"{error}\nThe run was sent, but whether it was accepted is unknown.")
    try:
        unknown.advice = await advice_on_lost_run(api, await look_up(api), sent)
    except CyberunError as second:
        unknown.advice = f"Do not run it again yet: look with list_tasks first (looking failed just now: {second})."
    return unknown
