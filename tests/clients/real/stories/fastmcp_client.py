"""A task from its submission to its end, with fastmcp's client. Told as one line of JSON."""
# mypy: ignore-errors
# fastmcp is in an environment of its own.

import asyncio
import json
import os

from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

how = json.loads(os.environ["STORY"])


def transport():
    if "url" in how:
        return StreamableHttpTransport(how["url"], headers={"Authorization": f"Bearer {how['key']}"})
    command, *arguments = how["command"]
    return StdioTransport(command=command, args=arguments, env=dict(os.environ))


async def main():
    heard = []

    async def hear(progress, total, message):
        heard.append(progress)

    async with Client(transport(), progress_handler=hear) as client:
        tools = await client.list_tools()
        body = {"parameters": {"prompt": "a red fox at night", "steps": 30}}
        run = await client.call_tool("run_workflow_by_slug", {"workflow_slug": "text-to-image", "body": body})
        heard.clear()
        waited = await client.call_tool("stream_task_events", run.structured_content)
        refused = await client.call_tool("get_task", {"task_id": "nobody"}, raise_on_error=False)
        told = {
            "tools": len(tools),
            "task_status": waited.structured_content["task_status"],
            "progress": list(heard),
            "refusal": refused.is_error and refused.content[0].text,
        }
    print(json.dumps(told))


asyncio.run(main())
