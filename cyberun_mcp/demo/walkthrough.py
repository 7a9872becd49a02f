"""What happens in the demo: a first conversation with an assistant, every chapter opened by what the user says."""

import base64
import json
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import anyio

from cyberun_mcp.demo.client import Assistant, DemoFailed
from cyberun_mcp.demo.files import described, draw_sketch
from cyberun_mcp.demo.screen import Screen

_SUNSET = {"prompt": "the last sunset before the ocean freezes", "style": "watercolour", "seed": 7}
_NIGHT_LAUNCH = {"prompt": "a night launch over a snowy forest", "strength": 0.8, "seed": 3}
_POSTCARDS = {"prompt": "postcards from a desert planet", "count": 4, "seed": 11}
_MURAL = {"prompt": "a mural of a city at night, every window lit", "width": 640, "height": 640, "steps": 100}
_HAIKU = "idle GPUs / a prompt arrives at midnight / nineteen steps to dawn"


async def tell(assistant: Assistant, screen: Screen, output: Path) -> None:
    """The whole story. Raises DemoFailed when it goes another way, or leaves a tool out."""
    tools = {tool.name for tool in (await assistant.client.list_tools()).tools}
    server, protocol = assistant.client.server_info, assistant.client.protocol_version
    named = f"{server.name} {server.version}" if server else "the server"
    screen.did("tools/list", f"{len(tools)} tools of {named} on stdio, protocol {protocol}")
    await _look_around(assistant, screen)
    file_key = await _send_a_sketch(assistant, screen, output)
    await _make_things(assistant, screen, output, file_key)
    await _change_of_mind(assistant, screen)
    await _see_a_failure(assistant, screen)
    await _look_back(assistant, screen)
    await _talk_to_services(assistant, screen)
    if left_out := tools - assistant.used:
        raise DemoFailed(f"tools the story left out: {', '.join(sorted(left_out))}")


async def _look_around(assistant: Assistant, screen: Screen) -> None:
    screen.user("What can I make here?")
    workflows = (await assistant.use("list_workflows"))["workflow_list"]
    screen.did(
        "list_workflows", f"{len(workflows)} workflows: {', '.join(each['workflow_slug'] for each in workflows)}"
    )
    workflow = await assistant.use("get_workflow_by_slug", workflow_slug="text-to-image")
    screen.did("get_workflow_by_slug", _signature(workflow))
    agents = (await assistant.use("list_agents"))["agent_list"]
    screen.did("list_agents", ", ".join(f"{each['agent_id']} {each['agent_status']}" for each in agents))


async def _send_a_sketch(assistant: Assistant, screen: Screen, output: Path) -> str:
    screen.user("Here is a sketch of mine.")
    await anyio.Path(output).mkdir(parents=True, exist_ok=True)
    sketch = output / "sketch.png"
    draw_sketch(sketch)
    file_key = await assistant.upload(sketch)
    assistant.files.append(described(sketch))
    return file_key


async def _make_things(assistant: Assistant, screen: Screen, output: Path, file_key: str) -> None:
    screen.user(f"Paint {_SUNSET['prompt']}.")
    await _make(assistant, "text-to-image", _SUNSET, output)
    screen.user(f"Turn my sketch into {_NIGHT_LAUNCH['prompt']}.")
    await _make(assistant, "img2img", {"input_image": file_key, **_NIGHT_LAUNCH}, output)
    screen.user("And into a point cloud that I can turn around.")
    await _make(assistant, "point-cloud", {"input_image": file_key}, output)
    screen.user(f"Now four {_POSTCARDS['prompt']}.")
    await _make_several(assistant, screen, output)


async def _make(assistant: Assistant, slug: str, parameters: dict[str, Any], output: Path) -> None:
    task_id = await assistant.run(slug, parameters)
    await _finish(assistant, task_id, output / slug)


async def _make_several(assistant: Assistant, screen: Screen, output: Path) -> None:
    """The same by the workflow's id, with several files coming back."""
    found = await assistant.use("get_workflow_by_slug", workflow_slug="contact-sheet")
    workflow = await assistant.use("get_workflow", workflow_id=found["id"])
    screen.did("get_workflow", _signature(workflow))
    run = await assistant.use("run_workflow", workflow_id=found["id"], body={"parameters": _POSTCARDS})
    screen.did("run_workflow", f"contact-sheet by its id, task {run['task_id']}")
    await _finish(assistant, run["task_id"], output / "contact-sheet")


async def _finish(assistant: Assistant, task_id: str, folder: Path) -> None:
    waited = await assistant.watch(task_id)
    if waited["task_status"] != "completed":
        raise DemoFailed(f"task {task_id} is {waited['task_status']}: {waited.get('task_error', 'no reason given')}")
    await assistant.fetch(task_id, folder)


async def _change_of_mind(assistant: Assistant, screen: Screen) -> None:
    screen.user("A mural next, a large one… no, stop it.")
    task_id = await assistant.run("text-to-image", _MURAL)
    await assistant.watch(task_id, timeout_seconds=1)
    await assistant.use("cancel_task", task_id=task_id)
    screen.did("cancel_task", f"task {task_id}")
    await assistant.watch(task_id)


async def _see_a_failure(assistant: Assistant, screen: Screen) -> None:
    screen.user("Try the one that always fails.")
    waited = await assistant.watch(await assistant.run("always-fails", {}))
    screen.trouble(waited.get("task_error", "no reason given"))


async def _look_back(assistant: Assistant, screen: Screen) -> None:
    screen.user("What became of all that?")
    tasks = (await assistant.use("list_tasks"))["task_list"]
    counts = Counter(each["task_status"] for each in tasks)
    screen.did("list_tasks", ", ".join(f"{count} {status}" for status, count in counts.most_common()))
    task = await assistant.use("get_task", task_id=tasks[-1]["id"])
    screen.did("get_task", f"the first one: {task['task_status']} on {task['agent_id']}")


async def _talk_to_services(assistant: Assistant, screen: Screen) -> None:
    screen.user("Is there anything to talk to?")
    services = (await assistant.use("list_container_services"))["service_list"]
    running = [each["service_slug"] for each in services if each["service_status"] == "running"]
    screen.did("list_container_services", f"running: {', '.join(running)}")
    service = await assistant.use("get_container_service", service_slug="tiny-llm")
    screen.did("get_container_service", textwrap.shorten(service["usage_prompt"], 150, placeholder=" …"))
    echoed = await _post(assistant, "echo", "/haiku", _HAIKU.encode())
    screen.did("call_container_service", f"echo: {json.loads(echoed)['body']}")
    question = {"messages": [{"role": "user", "content": "What is 6 * 7?"}]}
    reply = await _post(assistant, "tiny-llm", "/v1/chat/completions", json.dumps(question).encode())
    screen.did("call_container_service", f"tiny-llm: {json.loads(reply)['choices'][0]['message']['content']}")


async def _post(assistant: Assistant, slug: str, path: str, body: bytes) -> str:
    answer = await assistant.use(
        "call_container_service",
        service_slug=slug,
        method="POST",
        path=path,
        body_base64=base64.b64encode(body).decode(),
    )
    return str(answer["body_text"])


def _signature(workflow: dict[str, Any]) -> str:
    """A workflow as its slug and what it takes, with * at what it must be given."""
    keys = [each["key"] + ("*" if each.get("required") else "") for each in workflow["parameters"]]
    return f"{workflow['workflow_slug']}: {', '.join(keys)}"
