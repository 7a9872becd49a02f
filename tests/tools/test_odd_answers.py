"""Odd responses of the platform: the model gets what is usable, and the connection stays open."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from mcp import Client

from tests.fake_platform import FakePlatform, error_text, structured, text_of
from tests.stdio.process import server

RUN = {"workflow_slug": "s", "body": {"parameters": {}}}


class HalfAnEmoji(BaseHTTPRequestHandler):
    """Responds to every request with an error whose message contains half an emoji."""

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
    with ThreadingHTTPServer(("127.0.0.1", 0), HalfAnEmoji) as listening:
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


async def test_a_field_of_the_platform_named_unexpected_is_kept(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/tasks/t1", {"id": 5, "unexpected": "mine"})
    answer = structured(await client.call_tool("get_task", {"task_id": "t1"}))
    assert answer == {"unexpected": {"unexpected": "mine", "id": 5}}


async def test_an_output_keeps_fields_that_are_removed_from_parameters(client: Client, platform: FakePlatform) -> None:
    output = {"source_key": "a/b", "field": "x", "keep": 1}
    platform.on("GET", "/r/tasks/t1/result", {"id": "t1", "task_output": output})
    assert structured(await client.call_tool("get_task_result", {"task_id": "t1"}))["task_output"] == output


async def test_an_output_that_is_too_large_is_omitted_and_the_urls_are_kept(
    client: Client, platform: FakePlatform
) -> None:
    result = {"id": "t1", "task_output": {"log": "x" * 2_000_000}, "download_url": "https://s3.test/a.png"}
    platform.on("GET", "/r/tasks/t1/result", result)
    answer = await client.call_tool("get_task_result", {"task_id": "t1"})
    assert structured(answer)["download_url"] == "https://s3.test/a.png"
    assert "2,000,010 bytes" in structured(answer)["task_output"]["omitted"]
    assert len(answer.model_dump_json()) < 10_000


async def test_a_value_that_is_nested_too_deeply_is_cut_off(client: Client, platform: FakePlatform) -> None:
    deep = json.loads('{"a":' * 900 + "1" + "}" * 900)
    platform.on("POST", "/r/workflows/slug/s/run", {"task_id": "t1", "deep": deep}, status=202)
    assert structured(await client.call_tool("run_workflow_by_slug", RUN))["task_id"] == "t1"


async def test_a_list_of_services_that_ignores_paging_is_read_once(client: Client, platform: FakePlatform) -> None:
    services = [{"service_slug": f"s{number}", "usage_prompt": "p" * 3_000} for number in range(20)]
    meta = {"current_page": 1, "per_page": 20, "total_count": 60}
    platform.on("GET", "/r/containers", {"service_list": services, "page_meta": meta})
    result = await client.call_tool("list_container_services", {})
    assert len(structured(result)["service_list"]) == 20
    assert len(platform.request_lines) == 2
    assert len(text_of(result).encode()) <= 10_000


@pytest.mark.parametrize("answer", [httpx2.Response(204), httpx2.Response(200, json=True), httpx2.Response(200)])
async def test_any_success_status_means_that_the_task_is_canceled(
    client: Client, platform: FakePlatform, answer: httpx2.Response
) -> None:
    platform.on("POST", "/r/tasks/t1/cancel", lambda _: answer)
    assert structured(await client.call_tool("cancel_task", {"task_id": "t1"})) == {"is_success": True}


async def test_a_list_of_other_things_than_objects_is_an_error(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/workflows", {"workflow_list": [1, "two"]})
    assert "something else than objects" in error_text(await client.call_tool("list_workflows", {}))


async def test_the_error_for_a_lost_container_call_does_not_advise_to_repeat_it(
    client: Client, platform: FakePlatform
) -> None:
    def lose_response(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("connection lost")

    platform.on("POST", "/r/invoke/s", lose_response)
    text = error_text(
        await client.call_tool("call_container_service", {"service_slug": "s", "method": "POST", "path": "/"})
    )
    assert "may have been carried out" in text
    assert "try again" not in text
    assert len(platform.request_lines) == 1
