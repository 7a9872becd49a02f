"""Listing agents and uploading files."""

from mcp import Client

from tests.fake_platform import FakePlatform, structured

UPLOAD = {
    "file_key": "inputs/team/random/aW1hZ2UvcG5n/fox.png",
    "upload_url": "https://s3.test/bucket/key?X-Amz-Signature=abc",
    "upload_headers": {"Content-Length": "10", "If-None-Match": "*"},
}


async def test_an_upload_is_presigned_and_its_headers_come_back_verbatim(
    client: Client, platform: FakePlatform
) -> None:
    platform.on("POST", "/r/files/presign", UPLOAD)
    body = {"file_name": "fox.png", "file_size": 10, "content_type": "image/png"}
    assert structured(await client.call_tool("presign_file_upload", {"body": body})) == UPLOAD
    assert platform.last_body() == body


async def test_agents_are_listed_page_by_page(client: Client, platform: FakePlatform) -> None:
    agents = [{"agent_id": "gpu-1", "agent_status": "dreaming", "agent_labels": ["gpu"], "sync_phase": None}]
    meta = {"current_page": 1, "per_page": 1, "total_count": 2}
    platform.on("GET", "/r/agents", {"agent_list": agents, "page_meta": meta})
    answer = structured(await client.call_tool("list_agents", {"per_page": 1}))
    assert answer["agent_list"] == [{"agent_id": "gpu-1", "agent_status": "dreaming", "agent_labels": ["gpu"]}]
    assert answer["next_page"] == 2
