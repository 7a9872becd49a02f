"""`/r/workflows`: what can be run, and running it."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from cyberun_mcp.emulator.database import Registration
from cyberun_mcp.emulator.endpoints.request import Call
from cyberun_mcp.emulator.errors import RequestRejected, not_found
from cyberun_mcp.emulator.formats import new_id
from cyberun_mcp.emulator.paging import Page
from cyberun_mcp.emulator.task_table import NewTask
from cyberun_mcp.emulator.workflows.definition import WorkflowDefinition, WorkflowVersion
from cyberun_mcp.emulator.workflows.parameters import settle

_DISPATCH_TARGETS = ("agent", "cloud")


async def list_workflows(call: Call) -> Response:
    """Summaries: everything but the parameters."""
    page = Page.of(call.request.query_params)
    shown = [_summary(named, workflow, workflow.live_version) for named, workflow in page.cut(call.team.workflows)]
    return JSONResponse({"workflow_list": shown, "page_meta": page.meta(len(call.team.workflows))})


async def get_workflow(call: Call) -> Response:
    """The live version, with its parameters."""
    named, workflow = _by_id(call)
    return JSONResponse(_detail(named, workflow, workflow.live_version))


async def get_workflow_by_slug(call: Call) -> Response:
    """The live version, or the one after the `@`."""
    return JSONResponse(_detail(*_by_slug(call)))


async def run_workflow(call: Call) -> Response:
    """Run the live version."""
    named, workflow = _by_id(call)
    return await _run(call, named, workflow, workflow.live_version)


async def run_workflow_by_slug(call: Call) -> Response:
    """Run the live version, or the one after the `@`."""
    return await _run(call, *_by_slug(call))


def _by_id(call: Call) -> tuple[Registration, WorkflowDefinition]:
    found = call.team.workflow_by_id(call.path("workflowId"))
    if found is None:
        raise not_found()
    return found


def _by_slug(call: Call) -> tuple[Registration, WorkflowDefinition, int]:
    slug, at, version = call.path("workflowSlug").partition("@")
    found = call.team.workflow_by_slug(slug)
    if found is None:
        raise not_found()
    named, workflow = found
    if not at:
        return named, workflow, workflow.live_version
    if not (version.isascii() and version.isdigit()) or workflow.version(int(version)) is None:
        raise not_found()
    return named, workflow, int(version)


async def _run(call: Call, named: Registration, workflow: WorkflowDefinition, version: int) -> Response:
    call.require_member()
    body = await call.body()
    definition = _definition(workflow, version)
    if workflow.status == "disabled":
        raise RequestRejected(409, f"workflow {workflow.slug} is disabled and takes no new tasks")
    new = NewTask(
        id=new_id(),
        team_id=call.team.id,
        workflow_id=named.id,
        workflow_slug=workflow.slug,
        version=version,
        parameters=_parameters(call, definition, body),
        origin=call.caller.origin,
        dispatch_target=_dispatch_target(definition, body),
        target_pool=_text(body, "target_pool") or "team",
        submitter_region=_text(body, "submitter_region"),
        tool_type=_tool_type(definition, body),
    )
    call.platform.database.tasks.insert(new)
    call.platform.scheduler.submit(call.platform.database.tasks.get(new.id), definition)
    return JSONResponse({"task_id": new.id}, status_code=202)


def _parameters(call: Call, definition: WorkflowVersion, body: Mapping[str, Any]) -> dict[str, Any]:
    given = body.get("parameters", {})
    if not isinstance(given, dict):
        raise RequestRejected(400, "parameters must be a JSON object")
    uploads, storage, team_id = call.platform.database.uploads, call.platform.storage, call.team.id
    return settle(definition, given, lambda key: uploads.belongs_to(key, team_id) and storage.contains(key))


def _dispatch_target(definition: WorkflowVersion, body: Mapping[str, Any]) -> str:
    target = _text(body, "dispatch_target") or definition.default_dispatch_target
    if target not in _DISPATCH_TARGETS:
        raise RequestRejected(400, f"dispatch_target must be one of {', '.join(_DISPATCH_TARGETS)}")
    return target


def _tool_type(definition: WorkflowVersion, body: Mapping[str, Any]) -> str:
    asked = _text(body, "tool_type") or definition.tool_type
    if asked != definition.tool_type:
        raise RequestRejected(400, f"tool_type: this workflow runs on {definition.tool_type}")
    return asked


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestRejected(400, f"{name} must be a string")
    return value


def _summary(named: Registration, workflow: WorkflowDefinition, version: int) -> dict[str, Any]:
    definition = _definition(workflow, version)
    optional = {
        "preferred_gpu": definition.preferred_gpu,
        "min_vram_gb": definition.min_vram_gb,
        "required_models": list(definition.required_models) or None,
    }
    return {
        "id": named.id,
        "workflow_slug": workflow.slug,
        "display_name": definition.display_name,
        "version": version,
        "workflow_status": workflow.status,
        "created_at": named.created_at,
        "updated_at": named.created_at,
        "description": definition.description,
        "required_labels": list(definition.required_labels),
        "task_timeout": definition.task_timeout,
        "max_retries": 0,
        "default_dispatch_target": definition.default_dispatch_target,
        "tool_type": definition.tool_type,
        **{name: value for name, value in optional.items() if value is not None},
    }


def _detail(named: Registration, workflow: WorkflowDefinition, version: int) -> dict[str, Any]:
    parameters = [parameter.to_json() for parameter in _definition(workflow, version).parameters]
    return {**_summary(named, workflow, version), "parameters": parameters}


def _definition(workflow: WorkflowDefinition, version: int) -> WorkflowVersion:
    return workflow.versions[version - 1]
