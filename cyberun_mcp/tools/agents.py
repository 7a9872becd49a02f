"""The machines that run the work."""

from typing import NotRequired

from typing_extensions import TypedDict

from cyberun_mcp.api.models import Agent, PageMeta
from cyberun_mcp.tools.arguments import PageNumber, PerPage
from cyberun_mcp.tools.registry import READS, Answer, Call, tool
from cyberun_mcp.tools.results import page_of, prune, within_budget


class AgentPage(TypedDict):
    agent_list: list[Agent]
    page_meta: NotRequired[PageMeta]
    next_page: NotRequired[int]


@tool("List agents", READS, AgentPage)
async def list_agents(call: Call, current_page: PageNumber = 1, per_page: PerPage = 20) -> Answer:
    """List the team's connected GPU agents, with status, labels and load.
    Use it when a task stays waiting, or to see whether anything can run: idle and busy agents take tasks; syncing,
    tunnel and unhealthy ones do not. An agent must have all of a workflow's required_labels."""
    page = await call.api.list_agents({"current_page": current_page, "per_page": per_page})
    spare = ("comfyui_version", "connected_at", "running_tasks", "system_stats", "agent_version", "platform_arch")
    return Answer(within_budget(prune(page_of(page, "agent_list")), "agent_list", spare))
