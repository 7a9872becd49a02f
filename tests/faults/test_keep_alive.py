"""What happens on a connection that has been used before."""

from typing import Any

from mcp import Client

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings
from tests.faults.exchange import Exchange
from tests.faults.platform import FaultyPlatform, Subject, running
from tests.faults.stage import KEY


async def answers_once(exchange: Exchange, subject: Subject) -> None:
    await exchange.json(subject.task())
    exchange.last = True


async def after_a_first_call(platform: FaultyPlatform, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The answer of a tool whose process has just used a connection that will not carry another request."""
    settings = Settings(api_key=KEY, base_url=platform.base_url)
    server = build_server(settings, lambda _: credential_from(KEY))
    async with Client(server) as client:
        await client.call_tool("get_task", {"task_id": "fades.1"})
        result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    answer: dict[str, Any] = result.structured_content
    return answer


async def test_a_run_is_never_lost_on_a_connection_that_has_idled() -> None:
    platform = FaultyPlatform({("fades", ""): answers_once})
    with running(platform):
        answer = await after_a_first_call(platform, "run_workflow_by_slug", {"workflow_slug": "fox", "body": {}})
    [task] = platform.runs_of("fox")
    assert answer == {"task_id": task["id"]}


async def test_a_read_on_a_connection_that_has_idled_is_repeated() -> None:
    platform = FaultyPlatform({("fades", ""): answers_once})
    with running(platform):
        answer = await after_a_first_call(platform, "get_task", {"task_id": "other.1"})
    assert answer["id"] == "other.1"
    assert len(platform.seen("other.1", "")) == 1
