"""An OpenAPI document of the fifteen REST operations behind our tools, as a server generated from one would read it."""

from typing import Any

PAGED = ("current_page", "per_page")
# operation: (method, path, query parameters, whether it has a body)
OPERATIONS: dict[str, tuple[str, str, tuple[str, ...], bool]] = {
    "list_workflows": ("get", "/r/workflows", PAGED, False),
    "get_workflow": ("get", "/r/workflows/{workflow_id}", (), False),
    "get_workflow_by_slug": ("get", "/r/workflows/slug/{workflow_slug}", (), False),
    "run_workflow": ("post", "/r/workflows/{workflow_id}/run", (), True),
    "run_workflow_by_slug": ("post", "/r/workflows/slug/{workflow_slug}/run", (), True),
    "list_tasks": ("get", "/r/tasks", (*PAGED, "status"), False),
    "get_task": ("get", "/r/tasks/{task_id}", (), False),
    "get_task_result": ("get", "/r/tasks/{task_id}/result", (), False),
    "cancel_task": ("post", "/r/tasks/{task_id}/cancel", (), False),
    "stream_task_events": ("get", "/r/tasks/{task_id}/events", (), False),
    "list_agents": ("get", "/r/agents", PAGED, False),
    "list_container_services": ("get", "/r/containers", (), False),
    "get_container_service": ("get", "/r/containers/{service_slug}", (), False),
    "call_container_service": ("post", "/r/invoke/{service_slug}", (), True),
    "presign_file_upload": ("post", "/r/files/presign", (), True),
}


def document() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for name, (method, path, query, has_body) in OPERATIONS.items():
        paths.setdefault(path, {})[method] = _operation(name, path, query, has_body)
    return {"openapi": "3.1.0", "info": {"title": "Cyberun", "version": "1"}, "paths": paths}


def _operation(name: str, path: str, query: tuple[str, ...], has_body: bool) -> dict[str, Any]:
    in_path = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [{"name": each, "in": "path", "required": True, "schema": {"type": "string"}} for each in in_path]
    for each in query:
        kind = "integer" if each in PAGED else "string"
        parameters.append({"name": each, "in": "query", "required": False, "schema": {"type": kind}})
    json_object = {"content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "operationId": name,
        "summary": name.replace("_", " ").capitalize(),
        "parameters": parameters,
        **({"requestBody": {"required": True, **json_object}} if has_body else {}),
        "responses": {"200": {"description": "Done.", **json_object}},
    }
