"""`POST /r/workflows/…/run`: checks the request and its parameters, and submits a task."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from cyberun_mcp.emulator.database import Registration
from cyberun_mcp.emulator.endpoints.request import ApiRequest
from cyberun_mcp.emulator.endpoints.workflows import find_by_id, find_by_slug
from cyberun_mcp.emulator.errors import RequestRejected
from cyberun_mcp.emulator.formats import new_id
from cyberun_mcp.emulator.task_table import NewTask
from cyberun_mcp.emulator.workflows.definition import ParameterDefinition, WorkflowDefinition, WorkflowVersion

_DISPATCH_TARGETS = ("agent", "cloud")


async def run_workflow(request: ApiRequest) -> Response:
    """Run the live version."""
    registration, workflow = find_by_id(request)
    return await _run(request, registration, workflow, workflow.live_version)


async def run_workflow_by_slug(request: ApiRequest) -> Response:
    """Run the version after the `@`, by default the live one."""
    return await _run(request, *find_by_slug(request))


async def _run(request: ApiRequest, registration: Registration, workflow: WorkflowDefinition, number: int) -> Response:
    request.require_member()
    body = await request.json_body()
    version = workflow.versions[number - 1]
    if workflow.status == "disabled":
        raise RequestRejected(409, f"workflow {workflow.slug} is disabled and takes no new tasks")
    new_task = NewTask(
        id=new_id(),
        team_id=request.team.id,
        workflow_id=registration.id,
        workflow_slug=workflow.slug,
        version=number,
        parameters=_parameters(request, version, body),
        origin=request.caller.origin,
        dispatch_target=_dispatch_target(version, body),
        target_pool=_optional_string(body, "target_pool") or "team",
        submitter_region=_optional_string(body, "submitter_region"),
        tool_type=_tool_type(version, body),
    )
    tasks = request.platform.database.tasks
    tasks.insert(new_task)
    request.platform.scheduler.submit(tasks.get(new_task.id), version)
    return JSONResponse({"task_id": new_task.id}, status_code=202)


def _dispatch_target(version: WorkflowVersion, body: Mapping[str, Any]) -> str:
    target = _optional_string(body, "dispatch_target") or version.default_dispatch_target
    if target not in _DISPATCH_TARGETS:
        raise RequestRejected(400, f"dispatch_target must be one of {', '.join(_DISPATCH_TARGETS)}")
    return target


def _tool_type(version: WorkflowVersion, body: Mapping[str, Any]) -> str:
    tool_type = _optional_string(body, "tool_type") or version.tool_type
    if tool_type != version.tool_type:
        raise RequestRejected(400, f"tool_type: this workflow runs on {version.tool_type}")
    return tool_type


def _optional_string(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestRejected(400, f"{name} must be a string")
    return value


def _parameters(request: ApiRequest, version: WorkflowVersion, body: Mapping[str, Any]) -> dict[str, Any]:
    """The values to run with: those of the request, and defaults for the rest.

    Parameters that the workflow does not have are ignored. The documentation does not mention them, and a platform that
    writes known parameters into a node graph would ignore the others.
    """
    values = body.get("parameters", {})
    if not isinstance(values, dict):
        raise RequestRejected(400, "parameters must be a JSON object")

    def is_uploaded(key: str) -> bool:
        uploads, storage = request.platform.database.uploads, request.platform.storage
        return uploads.belongs_to(key, request.team.id) and storage.contains(key)

    return {
        parameter.key: _checked_value(parameter, values.get(parameter.key), is_uploaded)
        for parameter in version.parameters
    }


def _checked_value(parameter: ParameterDefinition, value: Any, is_uploaded: Callable[[str], bool]) -> Any:
    if value is None:
        if parameter.required:
            raise RequestRejected(400, f"missing required parameter: {parameter.key}")
        return parameter.default
    problem = _problem(parameter, value, is_uploaded)
    if problem:
        raise RequestRejected(400, f"invalid parameter {parameter.key}: {problem}")
    return value


def _problem(parameter: ParameterDefinition, value: Any, is_uploaded: Callable[[str], bool]) -> str | None:
    match parameter.type:
        case "number":
            return _number_problem(parameter, value)
        case "boolean":
            return None if isinstance(value, bool) else "must be a boolean"
        case "string":
            return None if isinstance(value, str) else "must be a string"
        case "select":
            return None if value in parameter.options else f"must be one of {', '.join(parameter.options)}"
        case "file":
            if not isinstance(value, str):
                return "must be a file_key string"
            return None if is_uploaded(value) else "no uploaded file has this file_key"


def _number_problem(parameter: ParameterDefinition, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        return "must be a number"
    if parameter.min is not None and value < parameter.min:
        return f"must be at least {parameter.min}"
    if parameter.max is not None and value > parameter.max:
        return f"must be at most {parameter.max}"
    return None


def _is_finite(value: float) -> bool:
    # math.isfinite raises OverflowError for an integer that is too large for a float.
    return isinstance(value, int) or math.isfinite(value)
