"""Listing workflows and running them."""

import json

import pytest
from mcp import Client

from tests.fake_platform import KEY, FakePlatform, error_text, structured

WORKFLOW = {
    "id": "wf-1",
    "workflow_slug": "text-to-image",
    "display_name": "Text to image",
    "version": 3,
    "workflow_status": "active",
    "description": None,
    "brand_new_field": {"nested": [1, None, "x"]},
    "parameters": [
        {"key": "prompt", "type": "string", "required": True, "node_id": "6", "field": "text"},
        {
            "key": "steps",
            "type": "number",
            "required": False,
            "default": 20,
            "min": 1,
            "max": 100,
            "target_path": "a.b",
        },
        {"key": "mode", "type": "a-type-of-tomorrow", "options": ["fast", "fine"], "source_key": "x"},
    ],
}
TASK_ID = "019abc12-9012-7890-abcd-ef1234567896"


async def test_list_workflows_returns_one_page_and_the_number_of_the_next(
    client: Client, platform: FakePlatform
) -> None:
    meta = {"current_page": 2, "per_page": 1, "total_count": 5}
    platform.on("GET", "/r/workflows", {"workflow_list": [WORKFLOW], "page_meta": meta})
    answer = structured(await client.call_tool("list_workflows", {"current_page": 2, "per_page": 1}))
    assert platform.request_lines == ["GET /r/workflows?current_page=2&per_page=1"]
    assert answer["next_page"] == 3
    assert answer["page_meta"] == meta


async def test_the_last_page_has_no_next_page(client: Client, platform: FakePlatform) -> None:
    meta = {"current_page": 1, "per_page": 20, "total_count": 20}
    platform.on("GET", "/r/workflows", {"workflow_list": [], "page_meta": meta})
    answer = structured(await client.call_tool("list_workflows", {}))
    assert platform.request_lines == ["GET /r/workflows?current_page=1&per_page=20"]
    assert "next_page" not in answer


@pytest.mark.parametrize(
    ("tool", "arguments", "path"),
    [
        ("get_workflow", {"workflow_id": "wf-1"}, "/r/workflows/wf-1"),
        ("get_workflow_by_slug", {"workflow_slug": "text-to-image@2"}, "/r/workflows/slug/text-to-image@2"),
    ],
)
async def test_a_workflow_keeps_unknown_fields_and_loses_nulls_and_editor_fields(
    client: Client, platform: FakePlatform, tool: str, arguments: dict[str, str], path: str
) -> None:
    platform.on("GET", path, WORKFLOW)
    answer = structured(await client.call_tool(tool, arguments))
    assert answer["brand_new_field"] == {"nested": [1, None, "x"]}
    assert "description" not in answer
    text = json.dumps(answer)
    for hidden in ("node_id", "target_path", "source_key", '"field"'):
        assert hidden not in text
    assert answer["parameters"][2]["type"] == "a-type-of-tomorrow"


@pytest.mark.parametrize(
    ("tool", "name", "path"),
    [
        ("run_workflow", {"workflow_id": "wf-1"}, "/r/workflows/wf-1/run"),
        ("run_workflow_by_slug", {"workflow_slug": "text-to-image"}, "/r/workflows/slug/text-to-image/run"),
    ],
)
async def test_a_run_sends_its_body_unchanged_and_returns_the_task_id(
    client: Client, platform: FakePlatform, tool: str, name: dict[str, str], path: str
) -> None:
    platform.on("POST", path, {"task_id": TASK_ID}, status=202)
    body = {"parameters": {"prompt": "ein Fuchs 🦊", "steps": 3}, "dispatch_target": "agent", "target_pool": "team"}
    answer = structured(await client.call_tool(tool, {**name, "body": body}))
    assert answer == {"task_id": TASK_ID}
    assert platform.last_body() == body
    assert platform.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "x-team-id" not in platform.requests[0].headers


async def test_a_body_that_is_a_json_string_is_parsed(client: Client, platform: FakePlatform) -> None:
    platform.on("POST", "/r/workflows/slug/s/run", {"task_id": TASK_ID}, status=202)
    body = {"parameters": {"prompt": "a fox"}}
    structured(await client.call_tool("run_workflow_by_slug", {"workflow_slug": "s", "body": json.dumps(body)}))
    assert platform.last_body() == body


async def test_the_error_of_a_rejected_run_lists_the_workflows_parameters(
    client: Client, platform: FakePlatform
) -> None:
    platform.on("POST", "/r/workflows/slug/s/run", {"error_message": "steps: 999 exceeds the maximum"}, status=400)
    platform.on("GET", "/r/workflows/slug/s", WORKFLOW)
    text = error_text(
        await client.call_tool("run_workflow_by_slug", {"workflow_slug": "s", "body": {"parameters": {}}})
    )
    assert text.splitlines()[0] == "Cyberun HTTP 400: steps: 999 exceeds the maximum"
    assert "- prompt: string, required" in text
    assert "- steps: number, optional, default 20, min 1, max 100" in text
    assert "- mode: a-type-of-tomorrow, optional, one of ['fast', 'fine']" in text


async def test_the_error_of_a_rejected_run_has_the_platforms_message_even_without_the_parameters(
    client: Client, platform: FakePlatform
) -> None:
    platform.on("POST", "/r/workflows/wf/run", {"error_message": "no"}, status=400)
    text = error_text(await client.call_tool("run_workflow", {"workflow_id": "wf", "body": {}}))
    assert text.startswith("Cyberun HTTP 400: no\n")


@pytest.mark.parametrize("slug", ["../x", "a/b", "a?b=c#d", "ä ö", "%2e%2e", "a%2Fb", "a\\b", " ", "a\nb", ".", ".."])
async def test_a_slug_that_could_be_more_than_one_path_segment_is_rejected_and_nothing_is_sent(
    client: Client, platform: FakePlatform, slug: str
) -> None:
    text = error_text(await client.call_tool("get_workflow_by_slug", {"workflow_slug": slug}))
    assert "workflow_slug: an id or a slug has no slashes" in text
    assert platform.request_lines == []


async def test_a_slug_with_special_characters_is_encoded(client: Client, platform: FakePlatform) -> None:
    error_text(await client.call_tool("get_workflow_by_slug", {"workflow_slug": "fünf&x=1@2"}))
    assert platform.request_lines == ["GET /r/workflows/slug/f%C3%BCnf%26x%3D1@2"]
