"""`/r/workflows`: the workflows of a team. `runs.py` has the endpoints that run one."""

from typing import Any

from starlette.responses import JSONResponse, Response

from cyberun_mcp.emulator.database import Registration
from cyberun_mcp.emulator.endpoints.request import ApiRequest
from cyberun_mcp.emulator.errors import not_found
from cyberun_mcp.emulator.workflows.definition import WorkflowDefinition, WorkflowVersion


async def list_workflows(request: ApiRequest) -> Response:
    """The live versions of all workflows, without their parameters."""
    page = request.requested_page()
    workflows = request.team.workflows
    summaries = [
        _summary(registration, workflow, workflow.live_version) for registration, workflow in page.of(workflows)
    ]
    return JSONResponse({"workflow_list": summaries, "page_meta": page.meta(len(workflows))})


async def get_workflow(request: ApiRequest) -> Response:
    """The live version with its parameters."""
    registration, workflow = find_by_id(request)
    return JSONResponse(_with_parameters(registration, workflow, workflow.live_version))


async def get_workflow_by_slug(request: ApiRequest) -> Response:
    """The version after the `@`, by default the live one, with its parameters."""
    return JSONResponse(_with_parameters(*find_by_slug(request)))


def find_by_id(request: ApiRequest) -> tuple[Registration, WorkflowDefinition]:
    """The workflow with the id in the path. Raises `RequestRejected` (404)."""
    entry = request.team.workflow_by_id(request.path_parameter("workflowId"))
    if entry is None:
        raise not_found()
    return entry


def find_by_slug(request: ApiRequest) -> tuple[Registration, WorkflowDefinition, int]:
    """The workflow with the slug in the path, and the version after the `@`. Raises `RequestRejected` (404)."""
    slug, at, version = request.path_parameter("workflowSlug").partition("@")
    entry = request.team.workflow_by_slug(slug)
    if entry is None:
        raise not_found()
    registration, workflow = entry
    if not at:
        return registration, workflow, workflow.live_version
    if not (version.isascii() and version.isdigit()) or workflow.version(int(version)) is None:
        raise not_found()
    return registration, workflow, int(version)


def _summary(registration: Registration, workflow: WorkflowDefinition, number: int) -> dict[str, Any]:
    version = workflow.versions[number - 1]
    return {
        "id": registration.id,
        "workflow_slug": workflow.slug,
        "display_name": version.display_name,
        "version": number,
        "workflow_status": workflow.status,
        "created_at": registration.created_at,
        "updated_at": registration.created_at,
        "description": version.description,
        "required_labels": list(version.required_labels),
        "task_timeout": version.task_timeout,
        "max_retries": 0,
        "default_dispatch_target": version.default_dispatch_target,
        "tool_type": version.tool_type,
        **_requirements(version),
    }


def _with_parameters(registration: Registration, workflow: WorkflowDefinition, number: int) -> dict[str, Any]:
    parameters = [parameter.to_json() for parameter in workflow.versions[number - 1].parameters]
    return {**_summary(registration, workflow, number), "parameters": parameters}


def _requirements(version: WorkflowVersion) -> dict[str, Any]:
    """The fields that only some workflows have; absent rather than null."""
    fields = {
        "preferred_gpu": version.preferred_gpu,
        "min_vram_gb": version.min_vram_gb,
        "required_models": list(version.required_models) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
