"""The steps of the demo: a conversation in which the user says something and the AI client calls tools for it."""

import base64
import json
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import anyio

from cyberun_mcp.demo.client import DemoClient, DemoFailed
from cyberun_mcp.demo.files import describe_file, draw_sketch
from cyberun_mcp.demo.screen import Screen

_SUNSET = {"prompt": "the last sunset before the ocean freezes", "style": "watercolour", "seed": 7}
_NIGHT_LAUNCH = {"prompt": "a night launch over a snowy forest", "strength": 0.8, "seed": 3}
_POSTCARDS = {"prompt": "postcards from a desert planet", "count": 4, "seed": 11}
_MURAL = {"prompt": "a mural of a city at night, every window lit", "width": 640, "height": 640, "steps": 100}
_HAIKU = "idle GPUs / a prompt arrives at midnight / nineteen steps to dawn"


async def walk_through(client: DemoClient, screen: Screen, output: Path) -> None:
    """Take all steps. Raises `DemoFailed` if a step fails, or if a tool was not used."""
    tools = {tool.name for tool in (await client.mcp.list_tools()).tools}
    server, protocol = client.mcp.server_info, client.mcp.protocol_version
    server_name = f"{server.name} {server.version}" if server else "the server"
    screen.show_result("tools/list", f"{len(tools)} tools of {server_name} on stdio, protocol {protocol}")
    await _list_workflows_and_agents(client, screen)
    file_key = await _upload_a_sketch(client, screen, output)
    await _run_workflows(client, screen, output, file_key)
    await _cancel_a_task(client, screen)
    await _run_a_failing_workflow(client, screen)
    await _review_tasks(client, screen)
    await _call_services(client, screen)
    if unused := tools - client.used_tools:
        raise DemoFailed(f"tools the story left out: {', '.join(sorted(unused))}")


async def _list_workflows_and_agents(client: DemoClient, screen: Screen) -> None:
    screen.show_prompt("What can I make here?")
    workflows = (await client.call("list_workflows"))["workflow_list"]
    screen.show_result(
        "list_workflows",
        f"{len(workflows)} workflows: {', '.join(workflow['workflow_slug'] for workflow in workflows)}",
    )
    workflow = await client.call("get_workflow_by_slug", workflow_slug="text-to-image")
    screen.show_result("get_workflow_by_slug", _signature(workflow))
    agents = (await client.call("list_agents"))["agent_list"]
    screen.show_result("list_agents", ", ".join(f"{agent['agent_id']} {agent['agent_status']}" for agent in agents))


async def _upload_a_sketch(client: DemoClient, screen: Screen, output: Path) -> str:
    screen.show_prompt("Here is a sketch of mine.")
    await anyio.Path(output).mkdir(parents=True, exist_ok=True)
    sketch = output / "sketch.png"
    draw_sketch(sketch)
    file_key = await client.upload(sketch)
    client.saved_files.append(describe_file(sketch))
    return file_key


async def _run_workflows(client: DemoClient, screen: Screen, output: Path, file_key: str) -> None:
    screen.show_prompt(f"Paint {_SUNSET['prompt']}.")
    await _run_and_download(client, "text-to-image", _SUNSET, output)
    screen.show_prompt(f"Turn my sketch into {_NIGHT_LAUNCH['prompt']}.")
    await _run_and_download(client, "img2img", {"input_image": file_key, **_NIGHT_LAUNCH}, output)
    screen.show_prompt("And into a point cloud that I can turn around.")
    await _run_and_download(client, "point-cloud", {"input_image": file_key}, output)
    screen.show_prompt(f"Now four {_POSTCARDS['prompt']}.")
    await _run_by_id(client, screen, output)


async def _run_and_download(client: DemoClient, slug: str, parameters: dict[str, Any], output: Path) -> None:
    task_id = await client.run_workflow(slug, parameters)
    await _download_when_completed(client, task_id, output / slug)


async def _run_by_id(client: DemoClient, screen: Screen, output: Path) -> None:
    """Run a workflow by its id, and download several outputs."""
    found = await client.call("get_workflow_by_slug", workflow_slug="contact-sheet")
    workflow = await client.call("get_workflow", workflow_id=found["id"])
    screen.show_result("get_workflow", _signature(workflow))
    run = await client.call("run_workflow", workflow_id=found["id"], body={"parameters": _POSTCARDS})
    screen.show_result("run_workflow", f"contact-sheet by its id, task {run['task_id']}")
    await _download_when_completed(client, run["task_id"], output / "contact-sheet")


async def _download_when_completed(client: DemoClient, task_id: str, folder: Path) -> None:
    result = await client.wait_for_task(task_id)
    if result["task_status"] != "completed":
        raise DemoFailed(f"task {task_id} is {result['task_status']}: {result.get('task_error', 'no reason given')}")
    await client.download_outputs(task_id, folder)


async def _cancel_a_task(client: DemoClient, screen: Screen) -> None:
    screen.show_prompt("A mural next, a large one… no, stop it.")
    task_id = await client.run_workflow("text-to-image", _MURAL)
    await client.wait_for_task(task_id, timeout_seconds=1)
    await client.call("cancel_task", task_id=task_id)
    screen.show_result("cancel_task", f"task {task_id}")
    await client.wait_for_task(task_id)


async def _run_a_failing_workflow(client: DemoClient, screen: Screen) -> None:
    screen.show_prompt("Try the one that always fails.")
    result = await client.wait_for_task(await client.run_workflow("always-fails", {}))
    screen.show_task_error(result.get("task_error", "no reason given"))


async def _review_tasks(client: DemoClient, screen: Screen) -> None:
    screen.show_prompt("What became of all that?")
    tasks = (await client.call("list_tasks"))["task_list"]
    counts = Counter(task["task_status"] for task in tasks)
    screen.show_result("list_tasks", ", ".join(f"{count} {status}" for status, count in counts.most_common()))
    task = await client.call("get_task", task_id=tasks[-1]["id"])
    screen.show_result("get_task", f"the first one: {task['task_status']} on {task['agent_id']}")


async def _call_services(client: DemoClient, screen: Screen) -> None:
    screen.show_prompt("Is there anything to talk to?")
    services = (await client.call("list_container_services"))["service_list"]
    running = [service["service_slug"] for service in services if service["service_status"] == "running"]
    screen.show_result("list_container_services", f"running: {', '.join(running)}")
    service = await client.call("get_container_service", service_slug="tiny-llm")
    screen.show_result("get_container_service", textwrap.shorten(service["usage_prompt"], 150, placeholder=" …"))
    echoed = await _post(client, "echo", "/haiku", _HAIKU.encode())
    screen.show_result("call_container_service", f"echo: {json.loads(echoed)['body']}")
    question = {"messages": [{"role": "user", "content": "What is 6 * 7?"}]}
    reply = await _post(client, "tiny-llm", "/v1/chat/completions", json.dumps(question).encode())
    screen.show_result("call_container_service", f"tiny-llm: {json.loads(reply)['choices'][0]['message']['content']}")


async def _post(client: DemoClient, slug: str, path: str, body: bytes) -> str:
    result = await client.call(
        "call_container_service",
        service_slug=slug,
        method="POST",
        path=path,
        body_base64=base64.b64encode(body).decode(),
    )
    return str(result["body_text"])


def _signature(workflow: dict[str, Any]) -> str:
    """The slug of a workflow and its parameters, the required ones with *."""
    keys = [parameter["key"] + ("*" if parameter.get("required") else "") for parameter in workflow["parameters"]]
    return f"{workflow['workflow_slug']}: {', '.join(keys)}"
