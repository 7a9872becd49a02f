"""What the network may and may not do to the HTTP endpoint."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from cyberun_mcp.settings import Settings
from cyberun_mcp.transports.http import build_app

KEY = "sk-canary0123456789"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"Authorization": f"Bearer {KEY}", "Accept": "application/json, text/event-stream"}


@pytest.fixture
async def browserless() -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an endpoint on loopback whose application is never reached by what these tests send."""
    transport = httpx2.ASGITransport(build_app(Settings()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic c2s6", f"Token {KEY}", "Bearer dk-12345678", "Bearer ak-12345678"],
)
async def test_without_an_integration_key_the_answer_is_401_and_names_the_scheme(
    browserless: httpx2.AsyncClient, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await browserless.post("/mcp", json=LIST, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"] == "invalid_token"
    assert "12345678" not in answer.text


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_only_post_is_allowed_and_a_browser_gets_a_sentence(browserless: httpx2.AsyncClient, method: str) -> None:
    answer = await browserless.request(method, "/mcp", headers=HEADERS)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert "MCP endpoint" in answer.text


@pytest.mark.parametrize("host", ["evil.test", "evil.test:8000", "127.0.0.1.evil.test", ""])
async def test_a_foreign_host_is_refused_on_loopback(browserless: httpx2.AsyncClient, host: str) -> None:
    answer = await browserless.post("/mcp", json=LIST, headers={**HEADERS, "Host": host})
    assert answer.status_code == 421
    assert "--allowed-host" in answer.text


@pytest.mark.parametrize("origin", ["http://evil.test", "https://127.0.0.1.evil.test", "null", "http://localhost.evil"])
async def test_a_foreign_origin_is_refused(browserless: httpx2.AsyncClient, origin: str) -> None:
    answer = await browserless.post("/mcp", json=LIST, headers={**HEADERS, "Origin": origin})
    assert answer.status_code == 403


async def test_an_allowed_host_is_let_through_to_the_key_check() -> None:
    app = build_app(Settings(), host="0.0.0.0", allowed_hosts=["mcp.example.com"])  # noqa: S104 - what is tested
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://mcp.example.com") as client:
        assert (await client.post("/mcp", json=LIST)).status_code == 401
        assert (await client.post("/mcp", json=LIST, headers={"Origin": "https://mcp.example.com"})).status_code == 401
        assert (await client.post("/mcp", json=LIST, headers={"Host": "other.example.com"})).status_code == 421
