"""A task from its submission to its end, with the Python SDK 2.x. Told as one line of JSON."""

import asyncio
import json
import os

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

how = json.loads(os.environ["STORY"])


async def story(client: Client) -> None:
    tools = (await client.list_tools()).tools
    body = {"parameters": {"prompt": "a red fox at night", "steps": 30}}
    run = await client.call_tool("run_workflow_by_slug", {"workflow_slug": "text-to-image", "body": body})
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    waited = await client.call_tool("stream_task_events", run.structured_content, progress_callback=hear)
    refused = await client.call_tool("get_task", {"task_id": "nobody"})
    told = {
        "tools": len(tools),
        "task_status": (waited.structured_content or {})["task_status"],
        "progress": heard,
        "refusal": refused.is_error and refused.model_dump()["content"][0]["text"],
    }
    print(json.dumps(told))


async def main() -> None:
    if "url" not in how:
        command, *arguments = how["command"]
        async with Client(StdioServerParameters(command=command, args=arguments, env=dict(os.environ))) as client:
            await story(client)
    else:
        headers = {"Authorization": f"Bearer {how['key']}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(how["url"], http_client=http)) as client,
        ):
            await story(client)


asyncio.run(main())
