"""Finding workflows and running them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from cyberun_mcp.api.answers import JsonObject
from cyberun_mcp.api.models import PageMeta, Submitted, Workflow
from cyberun_mcp.errors import ApiError, CyberunError, OutcomeUnknown, UnexpectedAnswer, Unreachable
from cyberun_mcp.tools.arguments import Identifier, JsonObjectOf, PageNumber, PerPage
from cyberun_mcp.tools.registry import READS, SUBMITS, Answer, Call, tool
from cyberun_mcp.tools.results import page_of, prune, within_budget

CLOCK_SKEW = timedelta(seconds=30)  # between the platform and us, when looking for a task created "since we sent"
CANDIDATES = 5  # tasks named in an error; more would bury the advice

WorkflowId = Annotated[Identifier, Field(description="The workflow's id, a UUID from list_workflows.")]
WorkflowSlug = Annotated[
    Identifier, Field(description="The workflow's slug, or slug@version for a saved version, e.g. text-to-image@2.")
]


class RunRequest(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    parameters: Annotated[
        dict[str, Any], Field(description="Value by parameter key, as get_workflow lists them. Files: the file_key.")
    ]
    dispatch_target: Annotated[str, Field(description="Where to run, e.g. agent. Default: the workflow's own.")]
    target_pool: Annotated[str, Field(description="Which agents, e.g. team.")]
    submitter_region: Annotated[str, Field(description="Your region, e.g. us-east.")]
    tool_type: Annotated[str, Field(description="comfyui or nerfstudio. Default: the workflow's own.")]


RunBody = Annotated[JsonObjectOf[RunRequest], Field(description='E.g. {"parameters": {"prompt": "a red fox"}}.')]


class WorkflowPage(TypedDict):
    workflow_list: list[Workflow]
    page_meta: NotRequired[PageMeta]
    next_page: NotRequired[int]


@tool("List workflows", READS, WorkflowPage)
async def list_workflows(call: Call, current_page: PageNumber = 1, per_page: PerPage = 20) -> Answer:
    """List the team's workflow templates, with slug, status and tool type.
    Use it first when the user has not named a workflow; next_page is there when there are more. Next:
    get_workflow_by_slug for the parameters, then run_workflow_by_slug."""
    page = await call.api.list_workflows({"current_page": current_page, "per_page": per_page})
    spare = ("parameters", "required_models", "created_at", "updated_at", "max_retries", "task_timeout")
    return Answer(within_budget(prune(page_of(page, "workflow_list")), "workflow_list", spare))


@tool("Get workflow", READS, Workflow, finder="list_workflows")
async def get_workflow(call: Call, workflow_id: WorkflowId) -> Answer:
    """Read one workflow by id, with all its parameters (key, type, required, default, min, max, options).
    Use it before run_workflow, and ask the user for whatever is required and missing. Prefer get_workflow_by_slug when
    a slug is known."""
    return Answer(prune(await call.api.get_workflow(workflow_id)))


@tool("Get workflow by slug", READS, Workflow, finder="list_workflows")
async def get_workflow_by_slug(call: Call, workflow_slug: WorkflowSlug) -> Answer:
    """Read one workflow by slug, with all its parameters (key, type, required, default, min, max, options).
    Use it before run_workflow_by_slug, and ask the user for whatever is required and missing. slug@version reads a
    saved version."""
    return Answer(prune(await call.api.get_workflow_by_slug(workflow_slug)))


@tool("Run workflow", SUBMITS, Submitted, finder="list_workflows")
async def run_workflow(call: Call, workflow_id: WorkflowId, body: RunBody) -> Answer:
    """Submit a workflow by id and get the task_id of the new task at once; it runs on a paid GPU.
    Read its parameters with get_workflow first. Every call starts another task: after an error, see list_tasks before
    calling again. Next: stream_task_events to wait, then get_task_result."""
    return await _submit(
        call,
        send=lambda: call.api.run_workflow(workflow_id, body),
        look_up=lambda: call.api.get_workflow(workflow_id),
    )


@tool("Run workflow by slug", SUBMITS, Submitted, finder="list_workflows")
async def run_workflow_by_slug(call: Call, workflow_slug: WorkflowSlug, body: RunBody) -> Answer:
    """Submit a workflow by slug (or slug@version) and get the task_id of the new task at once; it runs on a paid GPU.
    Read its parameters with get_workflow_by_slug first. Every call starts another task: after an error, see list_tasks
    before calling again. Next: stream_task_events to wait, then get_task_result."""
    return await _submit(
        call,
        send=lambda: call.api.run_workflow_by_slug(workflow_slug, body),
        look_up=lambda: call.api.get_workflow_by_slug(workflow_slug),
    )


Request = Callable[[], Awaitable[JsonObject]]


async def _submit(call: Call, send: Request, look_up: Request) -> Answer:
    """Send a run once, and make the most of whatever comes back instead of a task id."""
    sent_at = datetime.now(UTC)
    try:
        submitted = await send()
    except ApiError as error:
        if error.status == 400:
            error.details = await _parameters_in_words(look_up)
        if error.status in (502, 504):
            raise await _unknown_outcome(call, look_up, sent_at, error) from error
        raise
    except (Unreachable, UnexpectedAnswer) as error:
        if isinstance(error, Unreachable) and not error.sent:
            raise
        raise await _unknown_outcome(call, look_up, sent_at, error) from error
    if not isinstance(submitted.get("task_id"), str):
        raise await _unknown_outcome(call, look_up, sent_at, UnexpectedAnswer(202, "the answer has no task_id"))
    return Answer(prune(submitted))


async def _parameters_in_words(look_up: Request) -> str:
    """What the workflow takes, one line a parameter, for a run the platform found wrong."""
    try:
        parameters = (await look_up()).get("parameters")
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


async def _unknown_outcome(call: Call, look_up: Request, sent_at: datetime, error: CyberunError) -> OutcomeUnknown:
    """The error of a run that may exist, naming the tasks that may be it, so that nobody pays twice."""
    unknown = OutcomeUnknown(f"{error}\nThe run was sent, but whether it was accepted is unknown.")
    try:
        workflow = await look_up()
        tasks = (await call.api.list_tasks({"current_page": 1, "per_page": 20})).get("task_list")
    except CyberunError as second:
        unknown.advice = f"Do not run it again yet: look with list_tasks first (looking failed just now: {second})."
        return unknown
    candidates = [
        each
        for each in (tasks if isinstance(tasks, list) else [])
        if isinstance(each, dict)
        and each.get("workflow_id") == workflow.get("id")
        and _created(each) >= sent_at - CLOCK_SKEW
    ]
    unknown.advice = _advice_on(candidates[:CANDIDATES])
    return unknown


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
