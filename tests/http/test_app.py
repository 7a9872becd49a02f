"""The whole edge: what the network may and may not do to the HTTP endpoint, and what it is told instead."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.http.in_memory import CANARY, LIST, application, caller_of

HEADERS = {"Authorization": f"Bearer {CANARY}", "Accept": "application/json, text/event-stream"}
ANYWHERE = "0.0.0.0"  # noqa: S104 - what is tested


@pytest.fixture
async def stranger() -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an endpoint on loopback whose application is never reached by what these tests send."""
    async with caller_of(application().asgi) as client:
        yield client


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic c2s6", f"Token {CANARY}", "Bearer dk-12345678", "Bearer ak-12345678"],
)
async def test_without_an_integration_key_the_answer_is_401_and_names_the_scheme(
    stranger: httpx2.AsyncClient, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await stranger.post("/mcp", json=LIST, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert answer.json()["error"]["code"] == 401
    assert "sk-…" in answer.json()["error"]["message"]
    assert "12345678" not in answer.text


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_only_post_is_allowed_and_a_browser_gets_a_sentence(stranger: httpx2.AsyncClient, method: str) -> None:
    answer = await stranger.request(method, "/mcp", headers=HEADERS)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.headers["content-type"].startswith("text/plain")
    assert "MCP endpoint" in answer.text


@pytest.mark.parametrize("host", ["evil.test", "evil.test:8000", "127.0.0.1.evil.test", ""])
async def test_a_foreign_host_is_refused_on_loopback(stranger: httpx2.AsyncClient, host: str) -> None:
    answer = await stranger.post("/mcp", json=LIST, headers={**HEADERS, "Host": host})
    assert answer.status_code == 421
    assert "--allowed-host" in answer.text


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.test",
        "https://127.0.0.1.evil.test",
        "null",
        "http://localhost.evil",
        "http://127.0.0.1:1@evil.test",
        "http://[::1]evil.test",
    ],
)
async def test_a_foreign_origin_is_refused(stranger: httpx2.AsyncClient, origin: str) -> None:
    answer = await stranger.post("/mcp", json=LIST, headers={**HEADERS, "Origin": origin})
    assert answer.status_code == 403
    assert "--allowed-origin" in answer.text


async def test_a_refusal_logs_the_flag_to_set_once_for_each_name(
    stranger: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "cyberun_mcp"):
        for _ in range(3):
            await stranger.post("/mcp", headers={"Host": "mcp.example.com:8000"})
            await stranger.post("/mcp", headers={"Origin": "https://app.example.com"})
    assert len(caplog.messages) == 2
    assert "--allowed-host mcp.example.com" in caplog.messages[0]
    assert "--allowed-origin https://app.example.com" in caplog.messages[1]


async def test_a_flood_of_made_up_hosts_does_not_fill_the_log(
    stranger: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(150):
        await stranger.post("/mcp", headers={"Host": f"h{number}.test"})
    assert len(caplog.messages) == 100


async def test_an_allowed_host_is_let_through_to_the_key_check() -> None:
    async with caller_of(application(host=ANYWHERE, allowed_host=("MCP.example.com",)).asgi) as client:
        ours = {"Host": "mcp.example.com"}
        assert (await client.post("/mcp", json=LIST, headers=ours)).status_code == 401
        same = {**ours, "Origin": "https://mcp.example.com"}
        assert (await client.post("/mcp", json=LIST, headers=same)).status_code == 401
        assert (await client.post("/mcp", json=LIST, headers={"Host": "other.example.com"})).status_code == 421


async def test_beyond_loopback_any_host_is_answered_until_one_is_named() -> None:
    async with caller_of(application(host=ANYWHERE).asgi) as client:
        assert (await client.post("/mcp", json=LIST, headers={"Host": "any.example.com"})).status_code == 401


async def test_a_page_of_an_allowed_origin_may_call_and_read_the_refusal() -> None:
    page = {"Origin": "https://app.example.com"}
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version,mcp-method,mcp-name",
    }
    async with caller_of(application(allowed_origin=("https://app.example.com/",)).asgi) as client:
        preflight = await client.options("/mcp", headers={**page, **asked})
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
        refused = await client.post("/mcp", json=LIST, headers=page)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "access-control-allow-credentials" not in refused.headers
        foreign = await client.options("/mcp", headers={**asked, "Origin": "https://evil.test"})
        assert foreign.status_code == 403


async def test_without_allowed_origins_no_page_is_told_that_it_may_call(stranger: httpx2.AsyncClient) -> None:
    answer = await stranger.options(
        "/mcp", headers={"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    )
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/sse", "/.well-known/oauth-protected-resource", "/mcp/x", "/livez/"])
async def test_elsewhere_there_is_nothing(stranger: httpx2.AsyncClient, path: str) -> None:
    assert (await stranger.get(path)).status_code == 404


async def test_a_slash_at_the_end_changes_nothing(stranger: httpx2.AsyncClient) -> None:
    assert (await stranger.post("/mcp/", json=LIST)).status_code == 401


async def test_what_is_too_large_is_refused_before_any_key_is_looked_at() -> None:
    async with caller_of(application(max_body=0.01).asgi) as client:
        assert (await client.post("/mcp", content=b"x" * 20_000)).status_code == 413


async def test_a_request_id_comes_back_on_every_answer(stranger: httpx2.AsyncClient) -> None:
    for path in ("/livez", "/mcp", "/nowhere"):
        answer = await stranger.get(path, headers={"X-Request-ID": "deploy-7.a_b"})
        assert answer.headers["x-request-id"] == "deploy-7.a_b"
        assert len((await stranger.get(path)).headers["x-request-id"]) == 16


@pytest.mark.parametrize("odd", ["", "a b", "a" * 65, CANARY, "ä", "x\x7fy"])
async def test_a_request_id_that_could_forge_or_leak_is_replaced(stranger: httpx2.AsyncClient, odd: str) -> None:
    answer = await stranger.get("/livez", headers={b"x-request-id": odd.encode()})
    assert answer.headers["x-request-id"] != odd
    assert len(answer.headers["x-request-id"]) == 16


async def test_health_is_told_whatever_the_host_and_without_a_key(stranger: httpx2.AsyncClient) -> None:
    assert (await stranger.get("/livez", headers={"Host": "10.1.2.3:8000"})).text == "alive\n"
    assert (await stranger.get("/metrics", headers={"Host": "10.1.2.3:8000"})).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz"])
async def test_a_foreign_page_is_refused_where_any_host_is_answered(path: str) -> None:
    async with caller_of(application(allowed_origin=("https://app.example.com",)).asgi) as client:
        by_address = {"Host": "10.1.2.3:8000"}
        foreign = await client.get(path, headers={**by_address, "Origin": "https://evil.test"})
        assert (foreign.status_code, "cyberun_mcp_" in foreign.text) == (403, False)
        for ours in ("https://app.example.com", "http://localhost:3000"):
            assert (await client.get(path, headers={**by_address, "Origin": ours})).status_code != 403


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "message",
    [
        {"id": 1, "method": LONG},
        {"id": 1, "method": "tools/call", "params": {"name": LONG}},
        {"id": LONG, "method": "tools/list"},
        {"id": 10**4_000, "method": "tools/list"},
        {"id": 1, "method": "tools/call", "params": {"name": "list_workflows", "_meta": {"progressToken": LONG}}},
        {"id": 1, "method": "tools/call", "params": {"name": "get_task", "arguments": {LONG: LONG}}},
        {"id": 1, "method": "tools/call", "params": {"name": "get_task", "arguments": LONG}},
        {"id": 1, "method": "initialize", "params": {"protocolVersion": LONG}},
        {"id": 1, "method": "tools/list", "params": {"cursor": LONG}},
        {"id": 1, "method": LONG, "params": {"_meta": {"io.modelcontextprotocol/protocolVersion": LONG}}},
        {"id": 1, "method": "server/discover", "params": {"_meta": {f"{LONG}/protocolVersion": 1}}},
        {"id": 1, "method": LONG, "params": [LONG]},
        {"id": [LONG], "method": "tools/list"},
        {LONG: LONG},
    ],
)
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28", LONG[:8_000]])
async def test_no_answer_to_bad_input_is_larger_than_a_few_kilobytes(message: dict[str, Any], version: str) -> None:
    headers = {**HEADERS, "MCP-Protocol-Version": version, "Mcp-Method": LONG[:8_000], "Mcp-Name": LONG[:8_000]}
    async with caller_of(application().asgi) as client:
        answer = await client.post("/mcp", json={"jsonrpc": "2.0", **message}, headers=headers)
    assert "error" in answer.json() or answer.json()["result"]["isError"]
    assert len(answer.content) < 4_000
