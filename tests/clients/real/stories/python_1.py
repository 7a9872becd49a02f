"""A task from its submission to its end, with the Python SDK 1.x. Told as one line of JSON."""
# mypy: ignore-errors
# The environment this runs in has another `mcp` than the project's.

import asyncio
import json
import os

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

how = json.loads(os.environ["STORY"])


async def story(session):
    await session.initialize()
    tools = (await session.list_tools()).tools
    body = {"parameters": {"prompt": "a red fox at night", "steps": 30}}
    run = await session.call_tool("run_workflow_by_slug", {"workflow_slug": "text-to-image", "body": body})
    heard = []

    async def hear(progress, total, message):
        heard.append(progress)

    waited = await session.call_tool("stream_task_events", run.structuredContent, progress_callback=hear)
    refused = await session.call_tool("get_task", {"task_id": "nobody"})
    told = {
        "tools": len(tools),
        "task_status": waited.structuredContent["task_status"],
        "progress": heard,
        "refusal": refused.isError and refused.content[0].text,
    }
    print(json.dumps(told))


async def main():
    if "url" in how:
        connected = streamablehttp_client(how["url"], headers={"Authorization": f"Bearer {how['key']}"})
    else:
        command, *arguments = how["command"]
        connected = stdio_client(StdioServerParameters(command=command, args=arguments, env=dict(os.environ)))
    async with connected as streams, ClientSession(*streams[:2]) as session:
        await story(session)


asyncio.run(main())
