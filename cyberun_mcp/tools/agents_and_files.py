"""The GPU agents that run tasks, and the upload of input files."""

from typing import Annotated, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from cyberun_mcp.api.models import Agent, PageMeta, PresignedUpload
from cyberun_mcp.tools.arguments import JsonObjectOf, PageNumber, PerPage, Text
from cyberun_mcp.tools.registry import READS, SUBMITS, ToolCall, ToolResult, tool
from cyberun_mcp.tools.results import list_page, prune, within_budget


class AgentPage(TypedDict):
    agent_list: list[Agent]
    page_meta: NotRequired[PageMeta]
    next_page: NotRequired[int]


class FileMetadata(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    file_name: Annotated[Text, Field(description="With its extension.")]
    file_size: Annotated[int, Field(ge=1, description="Exact size in bytes.")]
    content_type: Annotated[Text, Field(description="MIME type, e.g. image/png.")]


FileBody = Annotated[JsonObjectOf[FileMetadata], Field(description="The file's metadata.")]


@tool("List agents", READS, AgentPage)
async def list_agents(call: ToolCall, current_page: PageNumber = 1, per_page: PerPage = 20) -> ToolResult:
    """List the team's connected GPU agents, with status, labels and load.
    Use it when a task stays waiting, or to see whether anything can run: idle and busy agents take tasks; syncing,
    tunnel and unhealthy ones do not. An agent must have all of a workflow's required_labels."""
    page = await call.api.list_agents({"current_page": current_page, "per_page": per_page})
    spare = ("comfyui_version", "connected_at", "running_tasks", "system_stats", "agent_version", "platform_arch")
    return ToolResult(within_budget(prune(list_page(page, "agent_list")), "agent_list", spare))


@tool("Presign file upload", SUBMITS, PresignedUpload)
async def presign_file_upload(call: ToolCall, body: FileBody) -> ToolResult:
    """Get a URL to upload one input file to, for a workflow parameter of type file.
    Then PUT the file's bytes to upload_url with exactly the upload_headers (no Authorization), for example
    curl -T FILE -H 'If-None-Match: *' 'UPLOAD_URL', and pass file_key as the parameter's value in run_workflow_by_slug.
    The URL is good for one file and expires."""
    return ToolResult(prune(await call.api.presign_file_upload(body)))
