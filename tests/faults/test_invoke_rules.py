"""What may be sent to a container, and what is refused before anything is sent."""

from typing import Any

import pytest
from mcp import Client

from tests.fake_platform import FakePlatform, error_text

INVOKE = "/r/invoke/llm"
ANSWER = {"status_code": 200, "headers": {}, "body_base64": ""}


async def refused_unsent(client: Client, platform: FakePlatform, **arguments: Any) -> str:
    call = {"service_slug": "llm", "method": "GET", "path": "/v1/models", **arguments}
    text = error_text(await client.call_tool("call_container_service", call))
    assert "nothing was sent" in text
    assert platform.requests == []
    return text


@pytest.mark.parametrize(
    "path",
    [
        "",
        "v1/models",
        "//elsewhere.test/v1",
        "https://elsewhere.test/v1",
        "/v1 models",
        "/v1\r\nHost: elsewhere.test",
        "/v1\x00",
        "/v1\x85",
        "/..",
        "/v1/../../admin",
        "/v1/%2e%2e/admin",
        "/v1/%252E%252E/admin",
        "/v1/..;a=b/admin",
        "/v1\\..\\admin",
        "/v1/%5c..%5cadmin",
    ],
)
async def test_a_path_that_could_lead_elsewhere_is_refused(client: Client, platform: FakePlatform, path: str) -> None:
    assert "path" in await refused_unsent(client, platform, path=path)


@pytest.mark.parametrize("path", ["/", "/v1/models?next=../x", "/a..b/c", "/a/...", "/%20", "/größer"])
async def test_an_honest_path_is_sent_as_it_is(client: Client, platform: FakePlatform, path: str) -> None:
    platform.on("POST", INVOKE, ANSWER)
    call = {"service_slug": "llm", "method": "GET", "path": path}
    assert not (await client.call_tool("call_container_service", call)).is_error
    assert platform.last_body()["path"] == path


@pytest.mark.parametrize("method", ["get", "TRACE", "CONNECT", "GET /x HTTP/1.1\r\nHost: y", "", 7])
async def test_a_method_the_gateway_does_not_take_is_refused(
    client: Client, platform: FakePlatform, method: object
) -> None:
    assert "one of GET, POST" in await refused_unsent(client, platform, method=method)


@pytest.mark.parametrize("body", ["not base64!", "aGk", "aGk=\n", "a-_b", "é"])
async def test_a_body_that_is_no_base64_is_refused(client: Client, platform: FakePlatform, body: str) -> None:
    assert "base64" in await refused_unsent(client, platform, body_base64=body)


@pytest.mark.parametrize("headers", [{"": "x"}, {"A b": "x"}, {"A:": "x"}, {"A": "x\r\nB: y"}, {"A": "図"}, {"A": 7}])
async def test_a_header_that_is_none_is_refused(
    client: Client, platform: FakePlatform, headers: dict[str, object]
) -> None:
    assert "header" in await refused_unsent(client, platform, headers=headers)


async def test_headers_of_the_connection_and_keys_are_left_out_whatever_their_case(
    client: Client, platform: FakePlatform
) -> None:
    platform.on("POST", INVOKE, ANSWER)
    stripped = [
        "Host",
        "Connection",
        "UPGRADE",
        "Transfer-Encoding",
        "te",
        "Trailer",
        "authorization",
        "Content-Length",
        "Keep-Alive",
    ]
    headers = dict.fromkeys([*stripped, "Proxy-Authorization", "Content-Type", "X-Mine"], "x")
    call = {"service_slug": "llm", "method": "POST", "path": "/", "headers": headers}
    await client.call_tool("call_container_service", call)
    assert platform.last_body()["headers"] == {"Content-Type": "x", "X-Mine": "x"}
