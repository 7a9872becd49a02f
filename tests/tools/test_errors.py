"""The text of a failed call: the platform's message first, then what to do next."""

import httpx2
import pytest
from mcp import Client

from tests.fake_platform import KEY, FakePlatform, connected, error_text

RUN = {"workflow_slug": "s", "body": {"parameters": {}}}


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "Do not retry: the key is invalid, revoked or expired. Ask the user for a new key"),
        (403, "Do not retry. The key lacks permission"),
        (404, "list_tasks shows what there is"),
        (409, "Its present state does not allow this"),
    ],
)
async def test_the_platforms_message_is_verbatim_and_followed_by_advice(
    client: Client, platform: FakePlatform, status: int, advice: str
) -> None:
    platform.on("GET", "/r/tasks/t1", {"error_message": 'Ünusual "wörds" <here>'}, status=status)
    lines = error_text(await client.call_tool("get_task", {"task_id": "t1"})).splitlines()
    assert lines[0] == f'Cyberun HTTP {status}: Ünusual "wörds" <here>'
    assert advice in lines[1]
    assert len(platform.request_lines) == 1


async def test_a_run_that_failed_with_500_is_not_repeated_and_its_outcome_is_unknown(
    client: Client, platform: FakePlatform
) -> None:
    platform.on("POST", "/r/workflows/slug/s/run", {"error_message": "boom"}, status=500)
    text = error_text(await client.call_tool("run_workflow_by_slug", RUN))
    assert "whether it was accepted is unknown" in text
    assert [line for line in platform.request_lines if line.startswith("POST")] == ["POST /r/workflows/slug/s/run"]


async def test_too_many_requests_is_an_error_with_the_seconds_to_wait(client: Client, platform: FakePlatform) -> None:
    too_many = httpx2.Response(429, json={"error_message": "slow down"}, headers={"Retry-After": "17"})
    platform.on("POST", "/r/workflows/slug/s/run", lambda _: too_many)
    assert "wait 17 seconds" in error_text(await client.call_tool("run_workflow_by_slug", RUN))


async def test_the_page_of_a_proxy_is_quoted_in_short(client: Client, platform: FakePlatform) -> None:
    page = "<html><head><style>p{}</style></head><body><h1>Access denied</h1>" + "<p>lorem</p>" * 500 + "</body></html>"
    platform.on("GET", "/r/tasks/t1", lambda _: httpx2.Response(403, html=page))
    text = error_text(await client.call_tool("get_task", {"task_id": "t1"}))
    assert text.startswith("Cyberun HTTP 403: not the platform but text/html: Access denied lorem")
    assert len(text.splitlines()[0]) < 600
    assert "<" not in text


async def test_a_page_instead_of_json_is_an_error_that_mentions_the_base_url(
    client: Client, platform: FakePlatform
) -> None:
    platform.on("GET", "/r/tasks/t1", lambda _: httpx2.Response(200, html="<h1>Welcome</h1>"))
    text = error_text(await client.call_tool("get_task", {"task_id": "t1"}))
    assert "not a JSON object but text/html: Welcome" in text
    assert "CYBERUN_BASE_URL" in text


async def test_a_redirect_is_not_followed(client: Client, platform: FakePlatform) -> None:
    redirect = httpx2.Response(307, headers={"Location": "https://elsewhere.test/steal"})
    platform.on("GET", "/r/tasks/t1", lambda _: redirect)
    assert "a redirect, not followed" in error_text(await client.call_tool("get_task", {"task_id": "t1"}))
    assert [request.url.host for request in platform.requests] == ["cyberun.test"]


async def test_an_error_body_without_a_message_is_shown_as_json(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/tasks/t1", {"feature": "mcp-server"}, status=403)
    assert '{"feature": "mcp-server"}' in error_text(await client.call_tool("get_task", {"task_id": "t1"}))


async def test_an_unexpected_exception_is_a_reference_for_the_client_and_a_traceback_in_the_log(
    client: Client, platform: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(_: httpx2.Request) -> httpx2.Response:
        raise ZeroDivisionError("secret detail")

    platform.on("GET", "/r/tasks/t1", explode)
    text = error_text(await client.call_tool("get_task", {"task_id": "t1"}))
    assert "secret detail" not in text
    reference = text.split("reference ")[1].split(":")[0]
    assert f"reference={reference}" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_key_in_the_platforms_message_is_redacted(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/tasks/t1", {"error_message": f"unknown key {KEY}"}, status=401)
    text = error_text(await client.call_tool("get_task", {"task_id": "t1"}))
    assert KEY not in text
    assert "unknown key sk-…" in text


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (None, "Set CYBERUN_API_KEY"),
        ("", "Set CYBERUN_API_KEY"),
        ("${CYBERUN_API_KEY}", "unexpanded"),
        ("ak-0123456789", "agent key"),
        ("hello", "of no known kind"),
        ("sk-with blank", "copy it again"),
        ("eyJhbGciOi.x.y", "CYBERUN_TEAM_ID"),
    ],
)
async def test_the_error_for_an_unusable_key_says_what_to_set_and_nothing_is_sent(
    platform: FakePlatform, era: str, key: str | None, words: str
) -> None:
    async with connected(platform, era, key) as client:
        text = error_text(await client.call_tool("list_workflows", {}))
    assert words in text
    assert platform.request_lines == []


async def test_a_jwt_is_sent_with_its_team_and_a_device_key_without(platform: FakePlatform, era: str) -> None:
    platform.on("GET", "/r/workflows", {"workflow_list": []})
    async with connected(platform, era, "eyJhbGciOi.x.y", team_id="team-7") as client:
        await client.call_tool("list_workflows", {})
    async with connected(platform, era, "dk-0123456789", team_id="team-7") as client:
        await client.call_tool("list_workflows", {})
    assert [request.headers.get("x-team-id") for request in platform.requests] == ["team-7", None]
