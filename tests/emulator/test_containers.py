"""Container services: their descriptions, the proxy, `invoke`, and the `tiny-llm` service."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from .platform_client import PlatformClient


async def invoke(member: PlatformClient, slug: str, **body: Any) -> tuple[int, Any]:
    """The status and the JSON body that the service responded with."""
    answer = await member.post(f"/r/invoke/{slug}", body)
    assert set(answer) == {"status_code", "headers", "body_base64"}
    return answer["status_code"], json.loads(base64.b64decode(answer["body_base64"]))


async def test_services_are_listed_with_the_documented_fields(member: PlatformClient) -> None:
    answer = await member.get("/r/containers?per_page=2")
    assert answer["page_meta"] == {"current_page": 1, "per_page": 2, "total_count": 5}
    assert [service["service_slug"] for service in answer["service_list"]] == ["echo", "tiny-llm"]
    service = await member.get("/r/containers/tiny-llm")
    assert service == answer["service_list"][1]
    assert service["service_status"] == "running"
    assert service["openapi_url"] == "/openapi.json"
    assert service["usage_prompt"]
    assert any("TOKEN" in item["env_name"] for item in service["env_config"])
    assert (await member.get("/r/containers/stopped-notebook"))["service_status"] == "stopped"


async def test_the_proxy_forwards_the_request_and_the_response(member: PlatformClient) -> None:
    response = await member.http.request(
        "PATCH", "/r/containers/echo/a%2Fb/c?x=1&y=%20", content=b"hello", headers={"X-Mine": "yes", "X-Team-ID": "t"}
    )
    assert response.status_code == 200
    echoed = response.json()
    assert (echoed["method"], echoed["path"], echoed["query"], echoed["body"]) == (
        "PATCH",
        "/a%2Fb/c",
        "x=1&y=%20",
        "hello",
    )
    assert echoed["headers"]["x-mine"] == "yes"
    assert not {"authorization", "x-team-id"} & set(echoed["headers"])


async def test_the_proxy_forwards_binary_bodies_and_error_statuses(member: PlatformClient) -> None:
    response = await member.http.post("/r/containers/echo/status/418", content=b"\xff\x00")
    assert response.status_code == 418
    assert base64.b64decode(response.json()["body_base64"]) == b"\xff\x00"
    head = await member.http.head("/r/containers/echo/x")
    assert (head.status_code, head.content) == (200, b"")


async def test_the_proxy_forwards_a_body_of_unknown_length(member: PlatformClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"part "

    response = await member.http.post("/r/containers/echo/", content=chunks())
    assert response.json()["body"] == "part part part "
    assert response.json()["path"] == "/"


async def test_invoke_wraps_request_and_response_in_json(member: PlatformClient) -> None:
    body = base64.b64encode(b"hello").decode()
    headers = {"X-Mine": "yes", "Authorization": "Bearer sk-mine", "Host": "evil", "Content-Length": "1"}
    status, echoed = await invoke(member, "echo", method="POST", path="/p?q=1", body_base64=body, headers=headers)
    assert status == 200
    assert (echoed["method"], echoed["path"], echoed["query"], echoed["body"]) == ("POST", "/p", "q=1", "hello")
    assert echoed["headers"]["x-mine"] == "yes"
    assert echoed["headers"]["content-length"] == "5"
    assert echoed["headers"]["host"].startswith("127.0.0.1:")
    assert "authorization" not in echoed["headers"]


async def test_invoke_returns_an_error_of_the_service_as_data(member: PlatformClient) -> None:
    status, _ = await invoke(member, "echo", method="GET", path="/status/503", body_base64="")
    assert status == 503


@pytest.mark.parametrize(
    "body",
    [
        {"path": "/"},
        {"method": "get", "path": "/"},
        {"method": "TRACE", "path": "/"},
        {"method": "GET"},
        {"method": "GET", "path": "x"},
        {"method": "GET", "path": "//evil.example/"},
        {"method": "GET", "path": "http://evil.example/"},
        {"method": "GET", "path": "/a b"},
        {"method": "GET", "path": "/a\r\nX: y"},
        {"method": "GET", "path": "/", "headers": {"X": 1}},
        {"method": "GET", "path": "/", "headers": {"X": "a\r\nY: b"}},
        {"method": "GET", "path": "/", "headers": {"X y": "a"}},
        {"method": "GET", "path": "/", "headers": []},
        {"method": "POST", "path": "/", "body_base64": "not base64!"},
        {"method": "POST", "path": "/", "body_base64": 7},
    ],
)
async def test_an_invalid_invocation_is_400(member: PlatformClient, body: dict[str, Any]) -> None:
    assert list(await member.post("/r/invoke/echo", body, status=400)) == ["error_message"]


@pytest.mark.parametrize(
    ("slug", "status"), [("stopped-notebook", 400), ("nothing", 404), ("hangs-up", 502), ("never-healthy", 503)]
)
async def test_the_gateway_responds_for_services_that_cannot(member: PlatformClient, slug: str, status: int) -> None:
    assert list(await member.get(f"/r/containers/{slug}/x", status=status)) == ["error_message"]
    await member.post(f"/r/invoke/{slug}", {"method": "GET", "path": "/x"}, status=status)


async def test_the_tiny_llm_speaks_the_chat_api(member: PlatformClient) -> None:
    models = (await member.get("/r/containers/tiny-llm/v1/models"))["data"]
    assert [model["id"] for model in models] == ["emulator-word-pairs"]
    assert (await member.get("/r/containers/tiny-llm/openapi.json"))["openapi"].startswith("3.")
    assert await chat(member, "What is 6 * 7?") == "6 * 7 = 42"
    assert await chat(member, "1 / 0") == "1 cannot be divided by zero."
    assert await chat(member, "say: cheese") == "cheese"
    assert "no neural network" in await chat(member, "Who are you?")
    assert (await chat(member, "hello")).startswith("Hello!")
    assert await chat(member, "tell me about the queue") == await chat(member, "tell me about the queue")
    assert (await chat(member, "zzz")).endswith(".")


async def chat(member: PlatformClient, text: str) -> str:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    answer = await member.post("/r/containers/tiny-llm/v1/chat/completions", {"messages": messages})
    assert answer["usage"]["total_tokens"] > 0
    return str(answer["choices"][0]["message"]["content"])


async def test_the_tiny_llm_streams(member: PlatformClient) -> None:
    body = {"stream": True, "messages": [{"role": "user", "content": [{"type": "text", "text": "repeat a b c"}]}]}
    async with member.http.stream("POST", "/r/containers/tiny-llm/v1/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        data = [line.removeprefix("data: ") async for line in response.aiter_lines() if line]
    assert data[-1] == "[DONE]"
    deltas = [json.loads(item)["choices"][0]["delta"] for item in data[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == "a b c"


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"messages": []}', b'{"messages": [{"role": "user", "content": 1}]}']
)
async def test_the_tiny_llm_rejects_invalid_requests(member: PlatformClient, content: bytes) -> None:
    response: httpx2.Response = await member.http.post("/r/containers/tiny-llm/v1/chat/completions", content=content)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
