"""The documented responses of the platform, as parsed JSON.

These types describe and do not validate: a field may be missing, others may be added, and an enum may grow. They type
the code and become the tools' output schemas. Source: docs.cyberun.cloud, and for what it omits, the platform itself.
"""

from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic accepts the one in `typing` only from Python 3.12 on

TERMINAL_STATES = frozenset({"completed", "failed", "cancelled"})

TaskFilter = Literal["pending", "waiting", "queued", "running", "completed", "failed", "cancelled"]
# The documentation does not name the key of the list of services. The first is the most likely.
SERVICE_LIST_KEYS = ("service_list", "container_list", "containers", "services")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def canonical_id(task_id: str) -> str:
    """A task's id in one spelling, since a UUID may be written in either case and without its hyphens."""
    return task_id.casefold().replace("-", "")


class PageMeta(TypedDict, total=False):
    current_page: int
    per_page: int
    total_count: int


class Parameter(TypedDict, total=False):
    key: str
    type: str
    required: bool
    description: str


class Workflow(TypedDict, total=False):
    id: str
    workflow_slug: str
    display_name: str
    version: int
    workflow_status: str
    description: str
    tool_type: str
    parameters: list[Parameter]


class SubmittedTask(TypedDict):
    task_id: str


class Task(TypedDict, total=False):
    id: str
    workflow_id: str
    task_status: str
    created_at: str
    started_at: str
    completed_at: str
    task_error: str
    agent_id: str


class TaskResult(TypedDict, total=False):
    id: str
    task_status: str
    task_output: dict[str, Any]
    download_url: str
    download_urls: dict[str, Any]
    expires_at: str
    task_error: str
    completed_at: str


class CancelResult(TypedDict, total=False):
    is_success: bool


class Agent(TypedDict, total=False):
    agent_id: str
    agent_status: str
    agent_labels: list[str]
    running_count: int
    current_task_id: str


class ContainerService(TypedDict, total=False):
    id: str
    service_slug: str
    display_name: str
    service_type: str
    service_status: str
    exposed_port: int
    usage_prompt: str
    openapi_url: str


class ContainerResponse(TypedDict, total=False):
    status_code: int
    headers: dict[str, Any]
    body_base64: str


class PresignedUpload(TypedDict, total=False):
    file_key: str
    upload_url: str
    upload_headers: dict[str, Any]
