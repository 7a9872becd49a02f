"""Watching tasks, canceling them, and fetching their results."""

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
from cyberun_mcp.api.follow import TaskFollower
from cyberun_mcp.api.models import CancelResult, PageMeta, Task, TaskFilter, TaskResult
from cyberun_mcp.errors import ApiError
from cyberun_mcp.tools.arguments import Identifier, PageNumber, PerPage
from cyberun_mcp.tools.progress import relay_progress
from cyberun_mcp.tools.registry import CANCELS, READS, OutputLink, ToolCall, ToolResult, tool
from cyberun_mcp.tools.results import list_page, prune, within_budget

# A table of our own, so that the result does not depend on the machine; with the formats of ComfyUI and Nerfstudio.
_MIME_TYPES = mimetypes.MimeTypes()
_MIME_TYPES.add_type("image/webp", ".webp")
_MIME_TYPES.add_type("model/gltf-binary", ".glb")
_MIME_TYPES.add_type("model/ply", ".ply")

# Fields that a long list of tasks loses, the least useful first.
_SPARE_FIELDS = ("gateway_id", "agent_labels", "retry_count", "target_pool", "dispatch_target", "tool_type", "gpu_type")

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


class WaitResult(TypedDict):
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
    call: ToolCall, current_page: PageNumber = 1, per_page: PerPage = 20, status: Status | None = None
) -> ToolResult:
    """List the team's tasks, with state, times and agent; status narrows it.
    Use it to find a task again, or to see whether a run was accepted after all; next_page is there when there are more.
    Next: get_task or stream_task_events."""
    query = {"current_page": current_page, "per_page": per_page} | ({"status": status} if status else {})
    page = list_page(await call.api.list_tasks(query), "task_list")
    return ToolResult(within_budget(prune(page), "task_list", _SPARE_FIELDS))


@tool("Get task", READS, Task, list_tool="list_tasks")
async def get_task(call: ToolCall, task_id: TaskId) -> ToolResult:
    """Read a task's present state once: task_status, times, agent and task_error.
    To wait for the end use stream_task_events instead of calling this again and again. When completed:
    get_task_result."""
    with _explaining_404(call, task_id):
        return ToolResult(prune(await call.api.get_task(task_id)))


@tool("Get task result", READS, TaskResult, list_tool="list_tasks")
async def get_task_result(call: ToolCall, task_id: TaskId) -> ToolResult:
    """Fetch what a finished task produced: download URLs, also as resource links, or the error it failed with.
    Use it once the task is terminal. The links expire (expires_at, about an hour); calling again gives fresh ones. Give
    the user the URLs whole; do not fetch and print the bytes."""
    with _explaining_404(call, task_id):
        result = prune(await call.api.get_task_result(task_id))
    return ToolResult(result, _output_links(result))


@tool("Cancel task", CANCELS, CancelResult, list_tool="list_tasks")
async def cancel_task(call: ToolCall, task_id: TaskId) -> ToolResult:
    """Stop a task that has not ended; its work so far is lost. Harmless on a task that has ended.
    Use it only when the user wants the task stopped: giving up waiting needs no cancelling. Next: get_task shows the
    state."""
    with _explaining_404(call, task_id):
        return ToolResult(prune(await call.api.cancel_task(task_id)))


@tool("Wait for task", READS, WaitResult, list_tool="list_tasks")
async def stream_task_events(call: ToolCall, task_id: TaskId, timeout_seconds: Seconds | None = None) -> ToolResult:
    """Wait until a task is completed, failed or cancelled, with live progress, and return its final state.
    Use it right after a run, rather than polling get_task. When timed_out is true the task runs on: call again with
    the same task_id. Giving up costs nothing and stops nothing. Next: get_task_result."""
    began = anyio.current_time()
    timeout = timeout_seconds or call.default_wait
    with _explaining_404(call, task_id):
        async with relay_progress(call.report_progress, TaskState(task_id)) as on_change:
            follower = TaskFollower(call.api.waiting_until(began + timeout), task_id, on_change)
            terminal = False
            with call.in_flight.wait() as wait_scope:
                terminal = await follower.until_terminal()
            if wait_scope.cancelled_caught:
                terminal = await follower.stop_waiting()
    state = follower.state
    result = {
        "task_id": task_id,
        "task_status": state.task_status,
        "terminal": terminal,
        "timed_out": not terminal,
        "waited_seconds": round(anyio.current_time() - began, 1),
        "progress": state.progress,
        "task_output": state.output,
        "task_error": state.error,
        "next_step": _next_step(state),
        "source": asdict(follower.source),
    }
    return ToolResult(prune(result))


@contextmanager
def _explaining_404(call: ToolCall, task_id: str) -> Iterator[None]:
    """Adds advice to a 404, so that a model does not run the workflow again: a second run is paid for again.

    The advice also fits a task that this process knows nothing about, because another process may have submitted it.
    """
    try:
        yield
    except ApiError as error:
        if error.status != 404:
            raise
        age = call.api.submitted_seconds_ago(task_id)
        advice = _NOT_FOUND if age is None else _NOT_FOUND_YET.format(seconds=age)
        raise error.with_hints(advice=advice) from error


def _next_step(state: TaskState) -> str:
    match state.task_status:
        case "completed":
            return "get_task_result has the download URLs."
        case "failed":
            return "Tell the user the error; correct the parameters before running again."
        case "cancelled":
            return "Nothing more will come of this task."
    return "The task runs on. Call stream_task_events again with the same task_id to go on waiting."


def _output_links(result: Mapping[str, Any]) -> list[OutputLink]:
    """One link per output file, the primary output first."""
    urls_by_output = result.get("download_urls")
    urls = {"output": result.get("download_url"), **(urls_by_output if isinstance(urls_by_output, dict) else {})}
    expiry = f", link expires {result['expires_at']}" if result.get("expires_at") else ""
    unique = {url: output for output, url in reversed(urls.items()) if isinstance(url, str) and url}
    return [_link(url, output, expiry) for url, output in reversed(unique.items())]


def _file_name(url: str) -> str:
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError:
        return ""  # not a valid URL, but the caller has paid for the file and gets the link


def _link(url: str, output: str, expiry: str) -> OutputLink:
    name = _file_name(url) or output
    mime_type = _MIME_TYPES.guess_type(name)[0] or "application/octet-stream"
    return OutputLink(url, name, mime_type, f"Task output {output}{expiry}")
