"""Watching tasks, stopping them, and fetching what they produced."""

import mimetypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, NotRequired
from urllib.parse import unquote, urlsplit

import anyio
from pydantic import Field
from typing_extensions import TypedDict

from cyberun_mcp.api.events import TaskState
from cyberun_mcp.api.follow import Follower
from cyberun_mcp.api.models import Cancelled, PageMeta, Task, TaskFilter, TaskResult
from cyberun_mcp.errors import ApiError
from cyberun_mcp.tools.arguments import Identifier, PageNumber, PerPage
from cyberun_mcp.tools.progress import relay
from cyberun_mcp.tools.registry import CANCELS, READS, Answer, Call, Link, tool
from cyberun_mcp.tools.results import page_of, prune, within_budget

# The same answer on every machine, whatever its own tables say; what ComfyUI and Nerfstudio write besides.
_MIME_TYPES = mimetypes.MimeTypes()
_MIME_TYPES.add_type("image/webp", ".webp")
_MIME_TYPES.add_type("model/gltf-binary", ".glb")
_MIME_TYPES.add_type("model/ply", ".ply")

# What a list of tasks is shortened by, least missed first.
_SPARE = ("gateway_id", "agent_labels", "retry_count", "target_pool", "dispatch_target", "tool_type", "gpu_type")

TaskId = Annotated[Identifier, Field(description="The task's id: run_workflow's task_id, or id in list_tasks.")]
Status = Annotated[TaskFilter, Field(description="Only tasks in this state. Default: all.")]
Seconds = Annotated[
    int, Field(ge=1, le=3600, description="Longest wait, 1 to 3600 s. Default: what your client bears, often 45.")
]

_NOT_FOUND = (
    "Nothing of that name in this team; list_tasks shows what there is. If a run returned this task_id, that run was "
    "accepted: do not run it again, but wait a few seconds and call this tool again."
)
_NOT_FOUND_YET = (
    "Do not run it again: the run was accepted {seconds:.0f} s ago and returned this task_id, so the task may appear "
    "late. Call stream_task_events again with the same task_id, or look for it with list_tasks."
)


class TaskPage(TypedDict):
    task_list: list[Task]
    page_meta: NotRequired[PageMeta]
    next_page: NotRequired[int]


class Waited(TypedDict):
    task_id: str
    task_status: str
    terminal: bool
    timed_out: bool
    waited_seconds: float
    progress: NotRequired[float]
    task_output: NotRequired[dict[str, Any]]
    task_error: NotRequired[str]
    next_step: str
    source: dict[str, Any]


@tool("List tasks", READS, TaskPage)
async def list_tasks(
    call: Call, current_page: PageNumber = 1, per_page: PerPage = 20, status: Status | None = None
) -> Answer:
    """List the team's tasks, with state, times and agent; status narrows it.
    Use it to find a task again, or to see whether a run was accepted after all; next_page is there when there are more.
    Next: get_task or stream_task_events."""
    query = {"current_page": current_page, "per_page": per_page} | ({"status": status} if status else {})
    page = page_of(await call.api.list_tasks(query), "task_list")
    return Answer(within_budget(prune(page), "task_list", _SPARE))


@tool("Get task", READS, Task, finder="list_tasks")
async def get_task(call: Call, task_id: TaskId) -> Answer:
    """Read a task's present state once: task_status, times, agent and task_error.
    To wait for the end use stream_task_events instead of calling this again and again. When completed:
    get_task_result."""
    with _missing_is_not_lost(call, task_id):
        return Answer(prune(await call.api.get_task(task_id)))


@tool("Get task result", READS, TaskResult, finder="list_tasks")
async def get_task_result(call: Call, task_id: TaskId) -> Answer:
    """Fetch what a finished task produced: download URLs, also as resource links, or the error it failed with.
    Use it once the task is terminal. The links expire (expires_at, about an hour); calling again gives fresh ones. Give
    the user the URLs whole; do not fetch and print the bytes."""
    with _missing_is_not_lost(call, task_id):
        result = prune(await call.api.get_task_result(task_id))
    return Answer(result, _links(result))


@tool("Cancel task", CANCELS, Cancelled, finder="list_tasks")
async def cancel_task(call: Call, task_id: TaskId) -> Answer:
    """Stop a task that has not ended; its work so far is lost. Harmless on a task that has ended.
    Use it only when the user wants the task stopped: giving up waiting needs no cancelling. Next: get_task shows the
    state."""
    with _missing_is_not_lost(call, task_id):
        return Answer(prune(await call.api.cancel_task(task_id)))


@tool("Wait for task", READS, Waited, finder="list_tasks")
async def stream_task_events(call: Call, task_id: TaskId, timeout_seconds: Seconds | None = None) -> Answer:
    """Wait until a task is completed, failed or cancelled, with live progress, and return its final state.
    Use it right after a run, rather than polling get_task. When timed_out is true the task runs on: call again with
    the same task_id. Giving up costs nothing and stops nothing. Next: get_task_result."""
    began = anyio.current_time()
    allowed = timeout_seconds or call.patience
    with _missing_is_not_lost(call, task_id):
        async with relay(call.report, TaskState(task_id)) as tell:
            follower = Follower(call.api.waiting_until(began + allowed), task_id, on_change=tell)
            ended = False
            with call.in_flight.wait() as waiting:
                ended = await follower.until_terminal()
            if waiting.cancelled_caught:
                ended = await follower.at_once()
    state = follower.state
    waited = {
        "task_id": task_id,
        "task_status": state.task_status,
        "terminal": ended,
        "timed_out": not ended,
        "waited_seconds": round(anyio.current_time() - began, 1),
        "progress": state.progress,
        "task_output": state.output,
        "task_error": state.error,
        "next_step": _next_step(state),
        "source": asdict(follower.source),
    }
    return Answer(prune(waited))


@contextmanager
def _missing_is_not_lost(call: Call, task_id: str) -> Iterator[None]:
    """Words for a 404 that do not make a model run the workflow again, because a second run is paid again.

    Another process may have submitted the task, so the words are safe for a task that this one knows nothing of, too.
    """
    try:
        yield
    except ApiError as error:
        if error.status == 404:
            age = call.api.submitted_seconds_ago(task_id)
            error.advice = _NOT_FOUND if age is None else _NOT_FOUND_YET.format(seconds=age)
        raise


def _next_step(state: TaskState) -> str:
    match state.task_status:
        case "completed":
            return "get_task_result has the download URLs."
        case "failed":
            return "Tell the user the error; correct the parameters before running again."
        case "cancelled":
            return "Nothing more will come of this task."
    return "The task runs on. Call stream_task_events again with the same task_id to go on waiting."


def _links(result: Mapping[str, Any]) -> list[Link]:
    """One link per produced file, the single primary output first."""
    named = result.get("download_urls")
    urls = {"output": result.get("download_url"), **(named if isinstance(named, dict) else {})}
    expiry = f", link expires {result['expires_at']}" if result.get("expires_at") else ""
    unique = {url: output for output, url in reversed(urls.items()) if isinstance(url, str) and url}
    return [_link(url, output, expiry) for url, output in reversed(unique.items())]


def _file_name(url: str) -> str:
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError:
        return ""  # no URL by the book, but the caller paid for what is behind it


def _link(url: str, output: str, expiry: str) -> Link:
    name = _file_name(url) or output
    mime_type = _MIME_TYPES.guess_type(name)[0] or "application/octet-stream"
    return Link(url, name, mime_type, f"Task output {output}{expiry}")
