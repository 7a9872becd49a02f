"""A platform that answers oddly: the model still gets what there is, and never a broken connection."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from mcp import Client

from tests.fake_platform import FakePlatform, refusal, structured, text_of
from tests.stdio.process import server

RUN = {"workflow_slug": "s", "body": {"parameters": {}}}


class Odd(BaseHTTPRequestHandler):
    """Answers every request with an error whose message holds half an emoji."""

    def do_GET(self) -> None:
        body = rb'{"error_message": "cut in half: \ud83e"}'
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def odd_platform() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_half_an_emoji_in_a_message_does_not_end_the_connection(odd_platform: str) -> None:
    with server(CYBERUN_BASE_URL=odd_platform) as pipe:
        pipe.initialize()
        for number in (2, 3):
            call = {"name": "get_task", "arguments": {"task_id": "t"}}
            pipe.send({"id": number, "method": "tools/call", "params": call})
            assert "cut in half: ?" in pipe.answer_to(number)["result"]["content"][0]["text"]


async def test_a_bad_url_does_not_hide_the_result(client: Client, platform: FakePlatform) -> None:
    result = {"id": "t1", "task_status": "completed", "download_url": "https://[::1/x.png"}
    platform.on("GET", "/r/tasks/t1/result", result)
    assert structured(await client.call_tool("get_task_result", {"task_id": "t1"})) == result


async def test_the_platforms_own_field_called_unexpected_survives(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/tasks/t1", {"id": 5, "unexpected": "mine"})
    answer = structured(await client.call_tool("get_task", {"task_id": "t1"}))
    assert answer == {"unexpected": {"unexpected": "mine", "id": 5}}


async def test_an_output_may_have_fields_that_only_parameters_lose(client: Client, platform: FakePlatform) -> None:
    output = {"source_key": "a/b", "field": "x", "keep": 1}
    platform.on("GET", "/r/tasks/t1/result", {"id": "t1", "task_output": output})
    assert structured(await client.call_tool("get_task_result", {"task_id": "t1"}))["task_output"] == output


async def test_an_output_too_large_for_a_client_does_not_take_the_urls_with_it(
    client: Client, platform: FakePlatform
) -> None:
    result = {"id": "t1", "task_output": {"log": "x" * 2_000_000}, "download_url": "https://s3.test/a.png"}
    platform.on("GET", "/r/tasks/t1/result", result)
    answer = await client.call_tool("get_task_result", {"task_id": "t1"})
    assert structured(answer)["download_url"] == "https://s3.test/a.png"
    assert "2,000,010 bytes" in structured(answer)["task_output"]["omitted"]
    assert len(answer.model_dump_json()) < 10_000


async def test_what_is_nested_too_deeply_is_cut_off(client: Client, platform: FakePlatform) -> None:
    deep = json.loads('{"a":' * 900 + "1" + "}" * 900)
    platform.on("POST", "/r/workflows/slug/s/run", {"task_id": "t1", "deep": deep}, status=202)
    assert structured(await client.call_tool("run_workflow_by_slug", RUN))["task_id"] == "t1"


async def test_a_list_of_services_that_ignores_paging_is_read_once(client: Client, platform: FakePlatform) -> None:
    services = [{"service_slug": f"s{each}", "usage_prompt": "p" * 3_000} for each in range(20)]
    meta = {"current_page": 1, "per_page": 20, "total_count": 60}
    platform.on("GET", "/r/containers", {"service_list": services, "page_meta": meta})
    result = await client.call_tool("list_container_services", {})
    assert len(structured(result)["service_list"]) == 20
    assert len(platform.asked) == 2
    assert len(text_of(result).encode()) <= 10_000


@pytest.mark.parametrize("answer", [httpx2.Response(204), httpx2.Response(200, json=True), httpx2.Response(200)])
async def test_cancelling_is_believed_whatever_a_success_says(
    client: Client, platform: FakePlatform, answer: httpx2.Response
) -> None:
    platform.on("POST", "/r/tasks/t1/cancel", lambda _: answer)
    assert structured(await client.call_tool("cancel_task", {"task_id": "t1"})) == {"is_success": True}


async def test_a_list_of_something_else_is_refused_with_words(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/workflows", {"workflow_list": [1, "two"]})
    assert "something else than objects" in refusal(await client.call_tool("list_workflows", {}))


async def test_a_lost_call_to_a_service_is_not_called_safe_to_repeat(client: Client, platform: FakePlatform) -> None:
    def lose(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("connection lost")

    platform.on("POST", "/r/invoke/s", lose)
    text = refusal(
        await client.call_tool("call_container_service", {"service_slug": "s", "method": "POST", "path": "/"})
    )
    assert "may have been carried out" in text
    assert "try again" not in text
    assert len(platform.asked) == 1
