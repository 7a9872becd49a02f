"""The HTTP application: which path leads to which endpoint, and how errors become responses."""

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cyberun_mcp.emulator.endpoints import containers, files, runs, tasks, workflows
from cyberun_mcp.emulator.endpoints.request import ApiRequest, EmulatedPlatform, authenticate
from cyberun_mcp.emulator.errors import RequestRejected
from cyberun_mcp.emulator.object_storage import BUCKET_PATH

_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

Endpoint = Callable[[ApiRequest], Awaitable[Response]]


def build_app(platform: EmulatedPlatform) -> Starlette:
    """The REST API under `/api/v1` and the object storage under `/bucket`."""

    def route(path: str, endpoint: Endpoint, *methods: str) -> Route:
        async def handle(request: Request) -> Response:
            caller = authenticate(request.headers, platform.database.teams)
            return await endpoint(ApiRequest(platform, caller, request))

        return Route(f"/api/v1{path}", handle, methods=methods or ["GET"])

    bucket = files.Bucket(platform.storage, platform.database.uploads)
    app = Starlette(
        routes=[
            route("/r/workflows", workflows.list_workflows),
            route("/r/workflows/slug/{workflowSlug}", workflows.get_workflow_by_slug),
            route("/r/workflows/slug/{workflowSlug}/run", runs.run_workflow_by_slug, "POST"),
            route("/r/workflows/{workflowId}", workflows.get_workflow),
            route("/r/workflows/{workflowId}/run", runs.run_workflow, "POST"),
            route("/r/tasks", tasks.list_tasks),
            route("/r/tasks/{taskId}", tasks.get_task),
            route("/r/tasks/{taskId}/result", tasks.get_task_result),
            route("/r/tasks/{taskId}/cancel", tasks.cancel_task, "POST"),
            route("/r/tasks/{taskId}/events", tasks.stream_task_events),
            route("/r/agents", tasks.list_agents),
            route("/r/containers", containers.list_services),
            route("/r/containers/{serviceSlug}", containers.get_service),
            route("/r/containers/{serviceSlug}/{path:path}", containers.proxy, *_ANY_METHOD),
            route("/r/invoke/{serviceSlug}", containers.invoke, "POST"),
            route("/r/files/presign", files.presign, "POST"),
            Route(BUCKET_PATH + "{key:path}", bucket.respond, methods=["GET", "HEAD", "PUT"]),
        ],
        exception_handlers={
            RequestRejected: _send_rejection,
            HTTPException: _send_routing_error,
            ClientDisconnect: _handle_disconnect,
            500: _send_internal_error,
        },
    )
    # On the platform, a path with an additional slash at the end is a 404 and not a redirect.
    app.router.redirect_slashes = False
    return app


async def _send_rejection(_request: Request, error: Exception) -> Response:
    rejection = cast(RequestRejected, error)
    return _error_response(rejection.status, rejection.message)


async def _send_routing_error(_request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405, in the platform's words. The 405 has an Allow header."""
    routing_error = cast(HTTPException, error)
    messages = {404: "resource not found", 405: "method not allowed"}
    message = messages.get(routing_error.status_code, routing_error.detail)
    return _error_response(routing_error.status_code, message, routing_error.headers)


async def _handle_disconnect(_request: Request, _error: Exception) -> Response:
    """The client disconnected in the middle of its request. The response cannot arrive, but this is no server error."""
    return _error_response(400, "the connection closed before the whole request had arrived")


async def _send_internal_error(_request: Request, _error: Exception) -> Response:
    return _error_response(500, "internal error")


def _error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    response = JSONResponse({"error_message": message}, status_code=status)
    response.headers.update(headers or {})
    return response
