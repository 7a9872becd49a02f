"""Sending a run exactly once, and making the most of whatever comes back instead of a task id.

A run that is sent twice is paid twice, so after a lost answer nothing is repeated: the error says that the outcome is
unknown and names the tasks that may be the one, for the model to adopt.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio

from cyberun_mcp.api.answers import JsonObject
from cyberun_mcp.errors import ApiError, CyberunError, OutcomeUnknown, UnexpectedAnswer, Unreachable
from cyberun_mcp.tools.registry import Answer, Call
from cyberun_mcp.tools.results import prune

if TYPE_CHECKING:
    from cyberun_mcp.api.client import CyberunClient

logger = logging.getLogger(__name__)

CLOCK_SKEW = timedelta(seconds=30)  # between the platform and us, when looking for a task created "since we sent"
CANDIDATES = 5  # tasks named in an error; more would bury the advice
PAGE = 100  # tasks, the most that the platform gives at a time
MOST_PAGES = 5  # read from either end of the list
LOOKING = 10.0  # seconds of a call kept for finding the candidates, but never more than LOOKING_SHARE of it
LOOKING_SHARE = 0.3

Request = Callable[["CyberunClient"], Awaitable[JsonObject]]


async def submit(call: Call, workflow: str, send: Request, look_up: Request) -> Answer:
    """The answer to one run. Raises OutcomeUnknown when it was sent and may or may not have been accepted.

    `workflow` is the id or slug of what it is of. `send` sends the run, `look_up` reads the workflow.
    """
    api, sent_at = call.api, datetime.now(UTC)
    left = api.deadline - anyio.current_time()
    until = api.deadline - min(LOOKING, LOOKING_SHARE * left)
    with call.in_flight.run(workflow) as run:
        try:
            submitted = _with_task_id(await send(api.until(until, on_sent=run.note_sent)))
        except (ApiError, UnexpectedAnswer, Unreachable) as error:
            if _may_have_been_accepted(error):
                raise await _unknown_outcome(api, look_up, sent_at, error) from error
            run.note_refused()
            if isinstance(error, ApiError) and error.status == 400:
                error.details = await _parameters_in_words(api, look_up)
            raise
    logger.info("workflow=%s task=%s", workflow, submitted["task_id"])  # the caller may be gone before it reads this
    return Answer(prune(submitted))


def _with_task_id(submitted: JsonObject) -> JsonObject:
    if not isinstance(submitted.get("task_id"), str):
        raise UnexpectedAnswer(202, "the answer has no task_id")
    return submitted


def _may_have_been_accepted(error: ApiError | UnexpectedAnswer | Unreachable) -> bool:
    match error:
        case Unreachable():
            return error.sent
        case UnexpectedAnswer():
            # Whatever stands in for the platform with a 3xx or 4xx has refused the run rather than passed it on.
            return error.status < 300 or error.status >= 500
        case ApiError():
            return error.status >= 500


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


async def _unknown_outcome(
    api: "CyberunClient", look_up: Request, sent_at: datetime, error: CyberunError
) -> OutcomeUnknown:
    """The error of a run that may exist, naming the tasks that may be it, so that nobody pays twice."""
    unknown = OutcomeUnknown(f"{error}\nThe run was sent, but whether it was accepted is unknown.")
    try:
        workflow = await look_up(api)
        tasks = await _tasks_since(api, sent_at - CLOCK_SKEW)
    except CyberunError as second:
        unknown.advice = f"Do not run it again yet: look with list_tasks first (looking failed just now: {second})."
        return unknown
    candidates = [each for each in tasks if each.get("workflow_id") == workflow.get("id")]
    candidates.sort(key=_created, reverse=True)
    unknown.advice = _advice_on(candidates[:CANDIDATES])
    return unknown


async def _tasks_since(api: "CyberunClient", since: datetime) -> list[JsonObject]:
    """The tasks created since, from both ends of the list: which end is the newest is documented nowhere."""
    first, total = await _page_of_tasks(api, 1)
    last_number = -(-total // PAGE)
    found = {str(each.get("id")): each for each in first}
    for page, numbers in ((first, range(2, last_number)), ([], range(last_number, 1, -1))):
        for number in numbers[:MOST_PAGES]:
            if any(_created(each) < since for each in page):
                break  # what follows is older still
            page, _ = await _page_of_tasks(api, number)
            found |= {str(each.get("id")): each for each in page}
    return [each for each in found.values() if _created(each) >= since]


async def _page_of_tasks(api: "CyberunClient", number: int) -> tuple[list[JsonObject], int]:
    """The tasks of one page, and how many there are in all, as far as the answer tells."""
    answer = await api.list_tasks({"current_page": number, "per_page": PAGE})
    tasks, meta = answer.get("task_list"), answer.get("page_meta")
    total = meta.get("total_count") if isinstance(meta, dict) else None
    listed = [each for each in tasks if isinstance(each, dict)] if isinstance(tasks, list) else []
    return listed, total if isinstance(total, int) else len(listed)


def _advice_on(candidates: list[JsonObject]) -> str:
    if not candidates:
        return (
            "No task of this workflow has appeared since, so far. Check list_tasks once more before running it again."
        )
    tasks = "\n".join(f"- {each.get('id')}: {each.get('task_status')}, {each.get('created_at')}" for each in candidates)
    return (
        "Do not run it again: these tasks of the same workflow were created since. Adopt the one that is yours, with "
        f"stream_task_events:\n{tasks}"
    )


def _created(task: JsonObject) -> datetime:
    try:
        created = datetime.fromisoformat(str(task.get("created_at")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)
