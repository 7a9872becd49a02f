"""The published surface: names, schemas, descriptions and size, with one snapshot per tool.

`make snapshots` updates the snapshots; review them like an API change.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from cyberun_mcp.instructions import INSTRUCTIONS
from cyberun_mcp.tools import TOOLS
from tests.fake_platform import FakePlatform, connected

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
NAMES = [tool.name for tool in TOOLS]
MAX_BYTES = 1_200 * len(TOOLS)  # of a whole `tools/list`: a model reads it in every conversation
LISTING = [tool.listing.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in TOOLS]


def nodes(schema: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of a schema, with its path."""
    if isinstance(schema, dict):
        yield path, schema
        for name, node in schema.get("properties", {}).items():
            yield from nodes(node, f"{path}.{name}")
        for keyword in ("items", "additionalProperties"):
            yield from nodes(schema.get(keyword), f"{path}.{keyword}")


@pytest.mark.parametrize("listing", LISTING, ids=lambda listing: listing["name"])
def test_the_tool_matches_its_snapshot(listing: dict[str, Any]) -> None:
    snapshot = SNAPSHOTS / f"{listing['name']}.json"
    text = json.dumps(listing, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        snapshot.write_text(text, encoding="utf-8")
    assert snapshot.read_text(encoding="utf-8") == text


def test_there_is_a_snapshot_for_each_tool_and_no_other() -> None:
    assert {file.stem for file in SNAPSHOTS.glob("*.json")} == set(NAMES)


async def test_the_tools_are_listed_in_their_order(platform: FakePlatform, era: str) -> None:
    async with connected(platform, era) as client:
        first, second = await client.list_tools(), await client.list_tools()
    assert [tool.name for tool in first.tools] == NAMES
    assert first.tools == second.tools
    assert platform.request_lines == []


async def test_the_list_stays_small_for_the_number_of_tools(platform: FakePlatform, era: str) -> None:
    async with connected(platform, era) as client:
        answer = (await client.list_tools()).model_dump(by_alias=True, exclude_none=True, mode="json")
    assert len(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_BYTES


@pytest.mark.parametrize("listing", LISTING, ids=lambda listing: listing["name"])
def test_the_description_is_within_the_limits_of_clients(listing: dict[str, Any]) -> None:
    assert len(listing["name"]) <= 24
    assert listing["title"]
    assert len(listing["description"]) <= 1_000
    first_sentence = listing["description"].split(". ")[0]
    assert 20 <= len(first_sentence) <= 160
    assert set(listing["annotations"]) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}


@pytest.mark.parametrize("listing", LISTING, ids=lambda listing: listing["name"])
@pytest.mark.parametrize("side", ["inputSchema", "outputSchema"])
def test_every_client_accepts_the_schema(listing: dict[str, Any], side: str) -> None:
    schema = listing[side]
    assert schema["type"] == "object"
    for path, node in nodes(schema):
        assert not {"$ref", "$defs", "anyOf", "oneOf", "allOf", "title", "const"} & set(node), path
        assert isinstance(node.get("type"), str), f"{path} has no single type"
        assert "null" not in node["type"], path
        assert node["type"] != "array" or isinstance(node.get("items"), dict), f"{path} has untyped items"


@pytest.mark.parametrize("listing", LISTING, ids=lambda listing: listing["name"])
def test_the_description_of_each_argument_repeats_its_schema(listing: dict[str, Any]) -> None:
    schema = listing["inputSchema"]
    assert schema["additionalProperties"] is False
    for path, node in nodes(schema):
        if path == "$" or path.endswith(".additionalProperties"):
            continue
        words = node.get("description", "")
        assert words or "enum" in node, f"{path} has no description"
        if "default" in node:
            assert f"Default {json.dumps(node['default'])}" in words, path
        if "maximum" in node:
            assert f"{node['minimum']} to {node['maximum']}" in words, path


async def test_instructions_and_identity_are_sent_at_connection(platform: FakePlatform, era: str) -> None:
    async with connected(platform, era) as client:
        assert client.server_info is not None
        assert client.server_info.name == "cyberun-cloud"
        assert client.server_info.title == "Cyberun Cloud"
        assert client.instructions == INSTRUCTIONS
    assert len(INSTRUCTIONS) <= 2_000


async def test_descriptions_warn_that_texts_written_by_others_are_data(platform: FakePlatform, era: str) -> None:
    async with connected(platform, era) as client:
        tools = {tool.name: tool.description or "" for tool in (await client.list_tools()).tools}
    for name in ("list_container_services", "get_container_service", "call_container_service"):
        assert "data" in tools[name]
        assert "instructions" in tools[name]
    assert "usage_prompt" in INSTRUCTIONS


def realistic(number: int) -> dict[str, Any]:
    """A workflow with every documented field."""
    return {
        "id": f"019abc12-8901-7890-abcd-ef12345678{number:02d}",
        "workflow_slug": f"sd-portrait-v{number}",
        "display_name": "SD 1.5 Portrait Generator",
        "version": 3,
        "workflow_status": "active",
        "created_at": "2025-01-20T10:00:00Z",
        "updated_at": "2025-02-15T14:30:00Z",
        "description": "Portraits in the style of studio photography. " * (1 + number % 8),
        "required_labels": ["gpu", "sd15"],
        "task_timeout": 300,
        "max_retries": 2,
        "preferred_gpu": "RTX_4090",
        "default_dispatch_target": "agent",
        "min_vram_gb": 24,
        "required_models": ["checkpoints/sdxl-base.safetensors", "vae/sdxl.safetensors"],
        "tool_type": "comfyui",
    }


TASK = {
    "workflow_id": "019abc12-8901-7890-abcd-ef1234567895",
    "task_status": "completed",
    "created_at": "2025-02-10T14:00:00Z",
    "task_error": "",
    "retry_count": 0,
    "started_at": "2025-02-10T14:00:05Z",
    "completed_at": "2025-02-10T14:01:30Z",
    "agent_id": "agent-gpu-01",
    "agent_labels": ["gpu", "a100"],
    "gateway_id": "gw-a1b2c3d4",
    "gpu_type": "NVIDIA GeForce RTX 4090",
    "dispatch_target": "agent",
    "target_pool": "team",
    "tool_type": "comfyui",
}
AGENT = {
    "agent_status": "busy",
    "agent_labels": ["gpu", "comfyui", "a100"],
    "last_heartbeat": "2025-02-10T14:01:30Z",
    "agent_version": "0.1.3",
    "tool": "comfyui",
    "tool_version": "0.3.13",
    "comfyui_version": "0.3.13",
    "gpu_capacity": 1,
    "running_count": 1,
    "running_tasks": ["019abc12-9012-7890-abcd-ef1234567896", "019abc12-9012-7890-abcd-ef1234567897"],
    "platform_arch": "linux/amd64",
    "connected_at": "2025-02-10T08:00:00Z",
    "tasks_completed": 128,
    "current_task_id": "019abc12-9012-7890-abcd-ef1234567896",
    "sync_phase": "downloading",
    "sync_detail": "Downloading model flux1-dev-fp8 (2.1 GB)",
    "sync_percent": 43,
    "system_stats": {
        "comfyui_version": "0.3.13",
        "pytorch_version": "2.5.1+cu124",
        "os_type": "posix",
        "gpu_devices": [
            {
                "device_name": "cuda:0 NVIDIA GeForce RTX 4090",
                "device_type": "cuda",
                "vram_total": 25757220864,
                "vram_free": 25000000000,
            }
        ],
    },
}


@pytest.mark.parametrize(
    ("tool", "path", "key", "items"),
    [
        ("list_workflows", "/r/workflows", "workflow_list", [realistic(number) for number in range(20)]),
        ("list_tasks", "/r/tasks", "task_list", [{"id": f"019abc12-{number:028}", **TASK} for number in range(20)]),
        (
            "list_agents",
            "/r/agents",
            "agent_list",
            [{"agent_id": f"gpu-{number:02d}", **AGENT} for number in range(20)],
        ),
    ],
)
async def test_a_default_page_of_twenty_fits_ten_kilobytes(
    client: Client, platform: FakePlatform, tool: str, path: str, key: str, items: list[dict[str, Any]]
) -> None:
    platform.on("GET", path, {key: items, "page_meta": {"current_page": 1, "per_page": 20, "total_count": 42}})
    answer = (await client.call_tool(tool, {})).structured_content
    assert answer is not None
    assert len(answer[key]) == 20
    assert answer["next_page"] == 2
    assert len(json.dumps(answer, separators=(",", ":")).encode()) <= 10_000
    identifying = {"id", "workflow_slug", "task_status", "agent_id", "agent_status"} & set(items[0])
    assert all(
        listed[name] == item[name] for listed, item in zip(answer[key], items, strict=True) for name in identifying
    )
    omitted = set(items[0]) - set(answer[key][0])
    assert omitted == set(answer.get("omitted_fields", ()))
