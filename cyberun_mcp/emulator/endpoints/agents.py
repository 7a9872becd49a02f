"""`/r/agents`: who could take a task."""

from starlette.responses import JSONResponse, Response

from cyberun_mcp.emulator.endpoints.request import Call
from cyberun_mcp.emulator.paging import Page


async def list_agents(call: Call) -> Response:
    """The team's agents, and what each is doing."""
    page = Page.of(call.request.query_params)
    tasks, team = call.platform.database.tasks, call.team
    shown = [agent.to_json(tasks.count_completed(team.id, agent.agent_id)) for agent in page.cut(team.agents)]
    return JSONResponse({"agent_list": shown, "page_meta": page.meta(len(team.agents))})
