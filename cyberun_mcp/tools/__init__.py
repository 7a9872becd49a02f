"""The tools, one file per noun, in the order `tools/list` shows them."""

from cyberun_mcp.tools.agents_and_files import list_agents, presign_file_upload
from cyberun_mcp.tools.containers import call_container_service, get_container_service, list_container_services
from cyberun_mcp.tools.registry import Tool
from cyberun_mcp.tools.tasks import cancel_task, get_task, get_task_result, list_tasks, stream_task_events
from cyberun_mcp.tools.workflows import (
    get_workflow,
    get_workflow_by_slug,
    list_workflows,
    run_workflow,
    run_workflow_by_slug,
)

# The order is fixed, because clients cache prompts that contain the list.
TOOLS: tuple[Tool, ...] = (
    list_workflows,
    get_workflow,
    get_workflow_by_slug,
    run_workflow,
    run_workflow_by_slug,
    list_tasks,
    get_task,
    get_task_result,
    cancel_task,
    stream_task_events,
    list_agents,
    list_container_services,
    get_container_service,
    call_container_service,
    presign_file_upload,
)
