"""Finding workflows and running them."""

from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from cyberun_mcp.api.models import PageMeta, SubmittedTask, Workflow
from cyberun_mcp.tools.arguments import Identifier, JsonObjectOf, PageNumber, PerPage
from cyberun_mcp.tools.registry import READS, SUBMITS, ToolCall, ToolResult, tool
from cyberun_mcp.tools.results import list_page, prune, within_budget
from cyberun_mcp.tools.submit_once import submit_once

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
async def list_workflows(call: ToolCall, current_page: PageNumber = 1, per_page: PerPage = 20) -> ToolResult:
    """List the team's workflow templates, with slug, status and tool type.
    Use it first when the user has not named a workflow; next_page is there when there are more. Next:
    get_workflow_by_slug for the parameters, then run_workflow_by_slug."""
    page = await call.api.list_workflows({"current_page": current_page, "per_page": per_page})
    spare = ("parameters", "required_models", "created_at", "updated_at", "max_retries", "task_timeout")
    return ToolResult(within_budget(prune(list_page(page, "workflow_list")), "workflow_list", spare))


@tool("Get workflow", READS, Workflow, list_tool="list_workflows")
async def get_workflow(call: ToolCall, workflow_id: WorkflowId) -> ToolResult:
    """Read one workflow by id, with all its parameters (key, type, required, default, min, max, options).
    Use it before run_workflow, and ask the user for whatever is required and missing. Prefer get_workflow_by_slug when
    a slug is known."""
    return ToolResult(prune(await call.api.get_workflow(workflow_id)))


@tool("Get workflow by slug", READS, Workflow, list_tool="list_workflows")
async def get_workflow_by_slug(call: ToolCall, workflow_slug: WorkflowSlug) -> ToolResult:
    """Read one workflow by slug, with all its parameters (key, type, required, default, min, max, options).
    Use it before run_workflow_by_slug, and ask the user for whatever is required and missing. slug@version reads a
    saved version."""
    return ToolResult(prune(await call.api.get_workflow_by_slug(workflow_slug)))


@tool("Run workflow", SUBMITS, SubmittedTask, list_tool="list_workflows")
async def run_workflow(call: ToolCall, workflow_id: WorkflowId, body: RunBody) -> ToolResult:
    """Submit a workflow by id and get the task_id of the new task at once; it runs on a paid GPU.
    Read its parameters with get_workflow first. Every call starts another task: after an error, see list_tasks before
    calling again. Next: stream_task_events to wait, then get_task_result."""
    return await submit_once(
        call,
        workflow_id,
        send_run=lambda api: api.run_workflow(workflow_id, body),
        get_workflow=lambda api: api.get_workflow(workflow_id),
    )


@tool("Run workflow by slug", SUBMITS, SubmittedTask, list_tool="list_workflows")
async def run_workflow_by_slug(call: ToolCall, workflow_slug: WorkflowSlug, body: RunBody) -> ToolResult:
    """Submit a workflow by slug (or slug@version) and get the task_id of the new task at once; it runs on a paid GPU.
    Read its parameters with get_workflow_by_slug first. Every call starts another task: after an error, see list_tasks
    before calling again. Next: stream_task_events to wait, then get_task_result."""
    return await submit_once(
        call,
        workflow_slug,
        send_run=lambda api: api.run_workflow_by_slug(workflow_slug, body),
        get_workflow=lambda api: api.get_workflow_by_slug(workflow_slug),
    )
