"""The tools and the emulator, over real sockets: each understands what the other sends."""

import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from mcp import Client
from mcp_types import ResourceLink
from PIL import Image

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.emulator import Emulator, emulator
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings
from cyberun_mcp.tools import TOOLS
from tests.fake_platform import error_text, structured

SCHEMAS = {tool.name: tool.listing.output_schema for tool in TOOLS}
QUICK = {"steps": 1, "width": 64, "height": 64}


@pytest.fixture(scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Emulator]:
    async with emulator(data=tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture
async def client(platform: Emulator, era: str) -> AsyncIterator[Client]:
    async with connected(platform, era, platform.api_key) as connection:
        yield connection


def connected(platform: Emulator, era: str, key: str) -> Client:
    server = build_server(Settings(base_url=platform.base_url), lambda _: credential_from(key))
    return Client(server, mode=era, cache=None)


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """A successful answer, checked against the tool's published schema and to need no field set aside."""
    answer = structured(await client.call_tool(tool, arguments))
    jsonschema.validate(answer, SCHEMAS[tool] or {})
    assert '"unexpected"' not in json.dumps(answer)
    return answer


async def test_a_workflow_is_found_run_watched_and_its_picture_fetched(client: Client) -> None:
    listed = await call(client, "list_workflows")
    [found] = [each for each in listed["workflow_list"] if each["workflow_slug"] == "text-to-image"]
    assert (await call(client, "get_workflow", workflow_id=found["id"]))["parameters"]
    older = await call(client, "get_workflow_by_slug", workflow_slug="text-to-image@1")
    assert older["version"] == 1

    run = await call(client, "run_workflow", workflow_id=found["id"], body={"parameters": {"prompt": "fog", **QUICK}})
    waited = await call(client, "stream_task_events", task_id=run["task_id"], timeout_seconds=600)
    assert waited["task_status"] == "completed"
    assert (await call(client, "get_task", task_id=run["task_id"]))["task_status"] == "completed"
    assert run["task_id"] in {each["id"] for each in (await call(client, "list_tasks"))["task_list"]}

    result = await client.call_tool("get_task_result", {"task_id": run["task_id"]})
    [link] = [each for each in result.content if isinstance(each, ResourceLink)]
    async with httpx2.AsyncClient() as plain:
        picture = Image.open(io.BytesIO((await plain.get(link.uri)).content))
    assert picture.size == (64, 64)


async def test_an_uploaded_file_becomes_the_input_of_a_workflow(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "input.png"
    Image.new("RGB", (64, 64), "orange").save(file)
    body = {"file_name": file.name, "file_size": file.stat().st_size, "content_type": "image/png"}
    upload = await call(client, "presign_file_upload", body=body)
    async with httpx2.AsyncClient() as plain:
        put = await plain.put(upload["upload_url"], content=file.read_bytes(), headers=upload["upload_headers"])
    assert put.status_code == 200
    parameters = {"input_image": upload["file_key"], "prompt": "ink", "steps": 1}
    run = await call(client, "run_workflow_by_slug", workflow_slug="img2img", body={"parameters": parameters})
    assert (await call(client, "stream_task_events", **run))["task_status"] == "completed"


async def test_several_outputs_come_as_one_link_each(client: Client) -> None:
    body = {"parameters": {"prompt": "hills", "count": 2}}
    run = await call(client, "run_workflow_by_slug", workflow_slug="contact-sheet", body=body)
    await call(client, "stream_task_events", **run)
    result = await client.call_tool("get_task_result", run)
    urls = structured(result)["download_urls"]
    assert {str(each.uri) for each in result.content if isinstance(each, ResourceLink)} == set(urls.values())


async def test_a_failing_task_and_a_cancelled_one_end_with_their_state(client: Client) -> None:
    run = await call(client, "run_workflow_by_slug", workflow_slug="always-fails", body={})
    failed = await call(client, "stream_task_events", **run)
    assert failed["task_status"] == "failed"
    assert failed["task_error"]

    run = await call(client, "run_workflow_by_slug", workflow_slug="needs-a100", body={"parameters": {"prompt": "x"}})
    waiting = await call(client, "stream_task_events", **run, timeout_seconds=3)
    assert (waiting["timed_out"], waiting["terminal"]) == (True, False)
    assert "call stream_task_events again" in waiting["next_step"].lower()
    assert await call(client, "cancel_task", **run) == {"is_success": True}
    assert (await call(client, "stream_task_events", **run))["task_status"] == "cancelled"
    assert await call(client, "cancel_task", **run) == {"is_success": True}


async def test_services_are_listed_described_without_secrets_and_called(client: Client) -> None:
    services = (await call(client, "list_container_services"))["service_list"]
    assert {"echo", "tiny-llm"} <= {each["service_slug"] for each in services}
    described = await call(client, "get_container_service", service_slug="tiny-llm")
    assert described["usage_prompt"]
    assert described["env_config"]
    assert all(set(each) == {"env_name"} for each in described["env_config"])

    body = {"model": "emulator-word-pairs", "messages": [{"role": "user", "content": "hello"}]}
    answer = await call(
        client,
        "call_container_service",
        service_slug="tiny-llm",
        method="POST",
        path="/v1/chat/completions",
        headers={"Content-Type": "application/json"},
        body_base64=base64.b64encode(json.dumps(body).encode()).decode(),
    )
    assert answer["status_code"] == 200
    assert json.loads(answer["body_text"])["choices"][0]["message"]["content"]

    own_error = await call(client, "call_container_service", service_slug="echo", method="GET", path="/status/404")
    assert own_error["status_code"] == 404


async def test_agents_are_listed(client: Client) -> None:
    agents = (await call(client, "list_agents"))["agent_list"]
    assert {each["agent_status"] for each in agents} >= {"tunnel"}


@pytest.mark.parametrize(
    ("tool", "arguments", "first_line"),
    [
        ("run_workflow_by_slug", {"workflow_slug": "text-to-image", "body": {}}, "Cyberun HTTP 400: "),
        ("run_workflow_by_slug", {"workflow_slug": "retired-upscaler", "body": {}}, "Cyberun HTTP 409: "),
        ("get_task", {"task_id": "019abc12-9012-7890-abcd-ef1234567896"}, "Cyberun HTTP 404: "),
        ("get_workflow_by_slug", {"workflow_slug": "text-to-image@99"}, "Cyberun HTTP 404: "),
        (
            "call_container_service",
            {"service_slug": "stopped-notebook", "method": "GET", "path": "/"},
            "Cyberun HTTP 400",
        ),
        ("call_container_service", {"service_slug": "hangs-up", "method": "GET", "path": "/"}, "Cyberun HTTP 502"),
        ("call_container_service", {"service_slug": "never-healthy", "method": "GET", "path": "/"}, "Cyberun HTTP 503"),
    ],
)
async def test_the_platforms_refusals_are_passed_on(
    client: Client, tool: str, arguments: dict[str, Any], first_line: str
) -> None:
    assert error_text(await client.call_tool(tool, arguments)).startswith(first_line)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_workflow", {"workflow_id": "slug/text-to-image"}),
        ("get_workflow", {"workflow_id": "slug%2Ftext-to-image"}),
        ("get_container_service", {"service_slug": "echo/anything"}),
    ],
)
async def test_an_id_that_would_reach_something_if_it_walked_does_not(
    client: Client, tool: str, arguments: dict[str, str]
) -> None:
    assert "nothing was sent" in error_text(await client.call_tool(tool, arguments))


async def test_a_viewers_key_reads_but_may_not_run_and_another_team_sees_nothing_of_ours(
    client: Client, platform: Emulator, era: str
) -> None:
    run = await call(client, "run_workflow_by_slug", workflow_slug="always-fails", body={})
    async with connected(platform, era, platform.viewer_key) as viewer:
        assert (await call(viewer, "get_task", task_id=run["task_id"]))["id"] == run["task_id"]
        text = error_text(await viewer.call_tool("run_workflow_by_slug", {"workflow_slug": "always-fails", "body": {}}))
        assert text.startswith("Cyberun HTTP 403: ")
    async with connected(platform, era, platform.other_team_key) as stranger:
        assert error_text(await stranger.call_tool("get_task", run)).startswith("Cyberun HTTP 404: ")
