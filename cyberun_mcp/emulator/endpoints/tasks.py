"""`/r/tasks` and `/r/agents`: tasks with their results and events, and the agents that run them."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from cyberun_mcp.emulator.endpoints.request import ApiRequest, EmulatedPlatform
from cyberun_mcp.emulator.errors import RequestRejected, not_found
from cyberun_mcp.emulator.formats import format_timestamp
from cyberun_mcp.emulator.object_storage import URL_LIFETIME_SECONDS, ObjectStorage
from cyberun_mcp.emulator.task_events import TaskEvent, status_event
from cyberun_mcp.emulator.task_table import STATUSES, TaskRow


async def list_tasks(request: ApiRequest) -> Response:
    """The tasks of the team, newest first."""
    page = request.requested_page()
    status = request.http.query_params.get("status")
    if status is not None and status not in STATUSES:
        raise RequestRejected(400, f"status must be one of {', '.join(STATUSES)}")
    tasks, total_count = request.platform.database.tasks.list_page(
        request.team.id, status=status, limit=page.per_page, offset=page.offset
    )
    return JSONResponse({"task_list": [_summary(task) for task in tasks], "page_meta": page.meta(total_count)})


async def get_task(request: ApiRequest) -> Response:
    """One task."""
    task = _own_task(request)
    # The documentation has the values of the origin (jwt, api_key) but not the name of the field. This name is ours.
    return JSONResponse({**_summary(task), "task_origin": task.origin, "task_error": task.task_error})


async def get_task_result(request: ApiRequest) -> Response:
    """The outputs, with new download URLs. Before a task has completed, these fields are null."""
    task = _own_task(request)
    urls, expires_at = _download_urls(task, request.platform.storage)
    return JSONResponse(
        {
            "id": task.id,
            "task_status": task.task_status,
            "task_output": task.task_output,
            **urls,
            "expires_at": expires_at,
            "task_error": task.task_error,
            "completed_at": task.completed_at,
        }
    )


async def cancel_task(request: ApiRequest) -> Response:
    """Cancel a task. Succeeds without effect if it has ended."""
    request.require_member()
    request.platform.scheduler.cancel(_own_task(request).id)
    return JSONResponse({"is_success": True})


async def stream_task_events(request: ApiRequest) -> Response:
    """A stream of server-sent events until the task ends."""
    task = _own_task(request)
    return StreamingResponse(
        _event_stream(request.platform, task.id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def list_agents(request: ApiRequest) -> Response:
    """The agents of the team and what they are doing."""
    page = request.requested_page()
    tasks, team = request.platform.database.tasks, request.team
    agents = [agent.to_json(tasks.count_completed(team.id, agent.agent_id)) for agent in page.of(team.agents)]
    return JSONResponse({"agent_list": agents, "page_meta": page.meta(len(team.agents))})


async def _event_stream(platform: EmulatedPlatform, task_id: str) -> AsyncIterator[str]:
    with platform.events.subscribe(task_id) as subscription:
        # Both are read before the first send, so that no event is missed in between.
        status = status_event(platform.database.tasks.get(task_id))
        progress = platform.events.latest_progress(task_id)
        yield _encode(status)
        if status.is_terminal:
            return
        if progress:
            yield _encode(progress)
        async for event in subscription.events():
            yield _encode(event)


def _encode(event: TaskEvent) -> str:
    return f"event: {event.name}\ndata: {json.dumps(event.data, ensure_ascii=False)}\n\n"


def _own_task(request: ApiRequest) -> TaskRow:
    task = request.platform.database.tasks.find(request.path_parameter("taskId"))
    if task is None or task.team_id != request.team.id:
        raise not_found()
    return task


def _summary(task: TaskRow) -> dict[str, Any]:
    """A task as lists show it. Fields without a value are absent rather than null."""
    optional = {
        "started_at": task.started_at,
        "completed_at": task.completed_at,
        "agent_id": task.agent_id,
        "agent_labels": task.agent_labels,
        "gateway_id": task.gateway_id,
        "gpu_type": task.gpu_type,
    }
    return {
        "id": task.id,
        "workflow_id": task.workflow_id,
        "task_status": task.task_status,
        "created_at": task.created_at,
        "retry_count": 0,
        **{name: value for name, value in optional.items() if value is not None},
        "dispatch_target": task.dispatch_target,
        "target_pool": task.target_pool,
        "tool_type": task.tool_type,
    }


def _download_urls(task: TaskRow, storage: ObjectStorage) -> tuple[dict[str, Any], str | None]:
    """The URL fields of a result and their expiry: for a cloud task a URL per output, otherwise one for the primary."""
    if task.outputs is None:
        return {"download_url": None, "download_urls": None}, None
    expires_at = format_timestamp(time.time() + URL_LIFETIME_SECONDS)
    if task.dispatch_target == "cloud":
        urls = {output_id: storage.download_url(key) for output_id, key in task.outputs.items()}
        return {"download_url": None, "download_urls": urls}, expires_at
    primary_key = next(iter(task.outputs.values()))
    return {"download_url": storage.download_url(primary_key), "download_urls": None}, expires_at
