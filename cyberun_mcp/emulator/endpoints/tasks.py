"""`/r/tasks`: what became of the runs."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from cyberun_mcp.emulator.endpoints.request import Call, Platform
from cyberun_mcp.emulator.errors import RequestRejected, not_found
from cyberun_mcp.emulator.formats import format_timestamp
from cyberun_mcp.emulator.object_storage import URL_LIFETIME_SECONDS, ObjectStorage
from cyberun_mcp.emulator.paging import Page
from cyberun_mcp.emulator.task_events import TaskEvent, status_event
from cyberun_mcp.emulator.task_table import STATUSES, TaskRow


async def list_tasks(call: Call) -> Response:
    """The team's tasks, newest first."""
    page = Page.of(call.request.query_params)
    status = call.request.query_params.get("status")
    if status is not None and status not in STATUSES:
        raise RequestRejected(400, f"status must be one of {', '.join(STATUSES)}")
    tasks, total = call.platform.database.tasks.list_page(
        call.team.id, status=status, limit=page.per_page, offset=page.offset
    )
    return JSONResponse({"task_list": [_item(task) for task in tasks], "page_meta": page.meta(total)})


async def get_task(call: Call) -> Response:
    """One task."""
    task = _own_task(call)
    # The documentation tells the values of the origin (jwt, api_key) but not the member's name: this name is ours.
    return JSONResponse({**_item(task), "task_origin": task.origin, "task_error": task.task_error})


async def get_task_result(call: Call) -> Response:
    """Outputs, with links minted for this answer; before the end, the same with nulls."""
    task = _own_task(call)
    links, expires_at = _links(task, call.platform.storage)
    return JSONResponse(
        {
            "id": task.id,
            "task_status": task.task_status,
            "task_output": task.task_output,
            **links,
            "expires_at": expires_at,
            "task_error": task.task_error,
            "completed_at": task.completed_at,
        }
    )


async def cancel_task(call: Call) -> Response:
    """Cancel a task; nothing happens to one that is over."""
    call.require_member()
    call.platform.scheduler.cancel(_own_task(call).id)
    return JSONResponse({"is_success": True})


async def stream_task_events(call: Call) -> Response:
    """The task's events as they come, until its last."""
    task = _own_task(call)
    return StreamingResponse(
        _sent_events(call.platform, task.id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _sent_events(platform: Platform, task_id: str) -> AsyncIterator[str]:
    with platform.events.subscribe(task_id) as subscription:
        # Both are read before the first send, so that no event is missed in between.
        status = status_event(platform.database.tasks.get(task_id))
        progress = platform.events.latest_progress(task_id)
        yield _on_the_wire(status)
        if status.is_terminal:
            return
        if progress:
            yield _on_the_wire(progress)
        async for event in subscription.events():
            yield _on_the_wire(event)


def _on_the_wire(event: TaskEvent) -> str:
    return f"event: {event.name}\ndata: {json.dumps(event.data, ensure_ascii=False)}\n\n"


def _own_task(call: Call) -> TaskRow:
    task = call.platform.database.tasks.find(call.path("taskId"))
    if task is None or task.team_id != call.team.id:
        raise not_found()
    return task


def _item(task: TaskRow) -> dict[str, Any]:
    """A task as lists show it. What is not known yet is left out rather than null."""
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


def _links(task: TaskRow, storage: ObjectStorage) -> tuple[dict[str, Any], str | None]:
    """An agent's task has the one link to its primary output, a cloud task one for each output."""
    if task.outputs is None:
        return {"download_url": None, "download_urls": None}, None
    expires_at = format_timestamp(time.time() + URL_LIFETIME_SECONDS)
    if task.dispatch_target == "cloud":
        links = {output: storage.download_url(key) for output, key in task.outputs.items()}
        return {"download_url": None, "download_urls": links}, expires_at
    primary = next(iter(task.outputs.values()))
    return {"download_url": storage.download_url(primary), "download_urls": None}, expires_at
