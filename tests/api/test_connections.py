"""Requests to the platform: nothing is kept between callers, redirects are not followed, proxies are used."""

import asyncio

import anyio
import httpx2
import pytest

from cyberun_mcp.api import retry
from cyberun_mcp.api.client import CyberunClient, Platform
from cyberun_mcp.api.connections import proxy_for
from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.errors import UnexpectedResponse, Unreachable
from cyberun_mcp.settings import Settings
from tests.fake_platform import BASE_URL, FakePlatform
from tests.waiting import GUARD

PAGE: dict[str, list[str]] = {"workflow_list": []}


def client_for(key: str, platform: Platform) -> CyberunClient:
    return platform.client_for(credential_from(key), anyio.current_time() + GUARD)


async def test_a_cookie_set_for_one_caller_is_not_sent_with_the_next_request() -> None:
    cyberun = FakePlatform()
    headers = {"Set-Cookie": "session=of-alice; Path=/"}
    cyberun.on("GET", "/r/workflows", lambda _: httpx2.Response(200, json=PAGE, headers=headers))
    platform = Platform(Settings(base_url=BASE_URL), cyberun.transport())
    for key in ("sk-alice-12345678", "sk-bob-12345678", "sk-alice-12345678"):
        await client_for(key, platform).list_workflows({})
    assert [request.headers["authorization"] for request in cyberun.requests] == [
        "Bearer sk-alice-12345678",
        "Bearer sk-bob-12345678",
        "Bearer sk-alice-12345678",
    ]
    assert not any("cookie" in request.headers for request in cyberun.requests)


async def test_a_redirect_is_reported_and_not_followed() -> None:
    cyberun = FakePlatform()
    cyberun.on(
        "GET",
        "/r/workflows",
        lambda _: httpx2.Response(307, headers={"Location": "https://elsewhere.test/r/workflows"}),
    )
    platform = Platform(Settings(base_url=BASE_URL), cyberun.transport())
    with pytest.raises(UnexpectedResponse, match="not followed"):
        await client_for("sk-alice-12345678", platform).list_workflows({})
    assert [request.url.host for request in cyberun.requests] == ["cyberun.test"]


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://cyberun.test/api/v1", {}, None),
        ("https://cyberun.test/api/v1", {"HTTPS_PROXY": "http://proxy.test:3128"}, "http://proxy.test:3128"),
        ("https://cyberun.test/api/v1", {"HTTPS_PROXY": "proxy.test:3128"}, "http://proxy.test:3128"),
        ("https://cyberun.test/api/v1", {"ALL_PROXY": "http://proxy.test:3128"}, "http://proxy.test:3128"),
        ("https://cyberun.test/api/v1", {"HTTP_PROXY": "http://proxy.test:3128"}, None),
        ("https://cyberun.test/api/v1", {"HTTPS_PROXY": "http://proxy.test:3128", "NO_PROXY": ".test"}, None),
        ("http://127.0.0.1:8080/api/v1", {"HTTP_PROXY": "http://proxy.test:3128"}, None),
        ("http://localhost:8080/api/v1", {"ALL_PROXY": "http://proxy.test:3128"}, None),
    ],
)
def test_the_proxy_of_the_environment_is_used_except_for_loopback(
    url: str, environment: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == expected


async def test_requests_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    request_lines: list[bytes] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request_lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    monkeypatch.setattr(retry, "LONGEST_OUTAGE", 0.0)  # a single attempt
    async with server:
        platform = Platform(Settings(base_url=BASE_URL))
        with pytest.raises(Unreachable, match="403") as failure:
            await client_for("sk-alice-12345678", platform).get_task("a")
        await platform.aclose()
    assert request_lines[0].startswith(b"CONNECT cyberun.test:443 ")
    assert not failure.value.sent
