"""An error body is an error whatever its status. A body with a success field is a success, even with a message."""

from typing import Any

import httpx2
import pytest
from mcp import Client

from tests.fake_platform import FakePlatform, error_text, structured

NO_CREDITS = {"error_message": "insufficient credits"}
RUNS: list[tuple[str, dict[str, Any], str, str]] = [
    ("run_workflow", {"workflow_id": "w", "body": {}}, "POST", "/r/workflows/w/run"),
    ("run_workflow_by_slug", {"workflow_slug": "w", "body": {}}, "POST", "/r/workflows/slug/w/run"),
]
OTHERS: list[tuple[str, dict[str, Any], str, str]] = [
    ("list_workflows", {}, "GET", "/r/workflows"),
    ("get_workflow", {"workflow_id": "w"}, "GET", "/r/workflows/w"),
    ("get_workflow_by_slug", {"workflow_slug": "w"}, "GET", "/r/workflows/slug/w"),
    ("list_tasks", {}, "GET", "/r/tasks"),
    ("get_task", {"task_id": "t"}, "GET", "/r/tasks/t"),
    ("get_task_result", {"task_id": "t"}, "GET", "/r/tasks/t/result"),
    ("cancel_task", {"task_id": "t"}, "POST", "/r/tasks/t/cancel"),
    ("list_agents", {}, "GET", "/r/agents"),
    ("list_container_services", {}, "GET", "/r/containers"),
    ("get_container_service", {"service_slug": "svc"}, "GET", "/r/containers/svc"),
    ("call_container_service", {"service_slug": "svc", "method": "POST", "path": "/"}, "POST", "/r/invoke/svc"),
    (
        "presign_file_upload",
        {"body": {"file_name": "a.png", "file_size": 1, "content_type": "image/png"}},
        "POST",
        "/r/files/presign",
    ),
]


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize(("tool", "arguments", "method", "path"), RUNS + OTHERS)
async def test_an_error_body_is_an_error_under_any_status(
    client: Client, platform: FakePlatform, tool: str, arguments: dict[str, Any], method: str, path: str, status: int
) -> None:
    platform.on(method, path, NO_CREDITS, status=status)
    text = error_text(await client.call_tool(tool, arguments))
    assert text.splitlines() == [
        f"Cyberun HTTP {status}: insufficient credits",
        "The platform refused this, whatever its status says. Resolve what it names before calling again.",
    ]
    assert len(platform.request_lines) == 1


# Fields that a platform may send besides its message. None of them means that a task exists.
OTHER_FIELDS: list[dict[str, Any]] = [
    {"task_id": None},
    {"task_id": ""},
    {"workflow_slug": "w", "required_credits": 5},
    {"id": "request-1", "status_code": 402},
]


@pytest.mark.parametrize("other_fields", OTHER_FIELDS)
@pytest.mark.parametrize(("tool", "arguments", "method", "path"), RUNS)
async def test_the_outcome_of_a_rejected_run_is_never_called_unknown(
    client: Client,
    platform: FakePlatform,
    tool: str,
    arguments: dict[str, Any],
    method: str,
    path: str,
    other_fields: dict[str, Any],
) -> None:
    platform.on(method, path, NO_CREDITS | other_fields)
    text = error_text(await client.call_tool(tool, arguments))
    assert text.startswith("Cyberun HTTP 200: insufficient credits\n")
    assert "unknown" not in text
    assert len(platform.request_lines) == 1


@pytest.mark.parametrize("message", [None, "", "  ", False, "a note: your plan ends soon"])
async def test_a_run_with_a_task_id_is_accepted_whatever_the_message(
    client: Client, platform: FakePlatform, message: Any
) -> None:
    platform.on("POST", "/r/workflows/slug/w/run", {"task_id": "t1", "error_message": message}, status=202)
    answer = structured(await client.call_tool("run_workflow_by_slug", {"workflow_slug": "w", "body": {}}))
    assert answer["task_id"] == "t1"


async def test_a_failed_task_with_an_error_message_is_a_result(client: Client, platform: FakePlatform) -> None:
    task = {"id": "t", "task_status": "failed", "task_error": "out of memory", "error_message": "out of memory"}
    for path in ("/r/tasks/t", "/r/tasks/t/result"):
        platform.on("GET", path, task)
    assert structured(await client.call_tool("get_task", {"task_id": "t"})) == task
    assert structured(await client.call_tool("get_task_result", {"task_id": "t"})) == task


async def test_a_failed_service_with_an_error_message_is_a_result(client: Client, platform: FakePlatform) -> None:
    service = {"service_slug": "svc", "service_status": "failed", "error_message": "the image cannot be pulled"}
    platform.on("GET", "/r/containers/svc", service)
    assert structured(await client.call_tool("get_container_service", {"service_slug": "svc"})) == service


async def test_a_message_that_is_not_text_is_shown_as_json(client: Client, platform: FakePlatform) -> None:
    platform.on("GET", "/r/tasks/t", {"error_message": {"code": "E42"}})
    assert error_text(await client.call_tool("get_task", {"task_id": "t"})).startswith(
        'Cyberun HTTP 200: {"error_message": {"code": "E42"}}'
    )


@pytest.mark.parametrize("task_id", ["", "   ", None, 5, {"id": "t"}])
async def test_the_outcome_of_a_run_without_a_valid_task_id_is_unknown(
    client: Client, platform: FakePlatform, task_id: Any
) -> None:
    platform.on("POST", "/r/workflows/slug/w/run", {"task_id": task_id}, status=202)
    text = error_text(await client.call_tool("run_workflow_by_slug", {"workflow_slug": "w", "body": {}}))
    assert "The run was sent, but whether it was accepted is unknown." in text


@pytest.mark.parametrize("status", [408, 499])
@pytest.mark.parametrize(
    "answer", [{"json": {"error_message": "request timeout"}}, {"html": "<h1>Request Timeout</h1>"}]
)
async def test_the_outcome_of_a_run_with_a_gateway_timeout_is_unknown(
    client: Client, platform: FakePlatform, answer: dict[str, Any], status: int
) -> None:
    platform.on("POST", "/r/workflows/slug/w/run", lambda _: httpx2.Response(status, **answer))
    text = error_text(await client.call_tool("run_workflow_by_slug", {"workflow_slug": "w", "body": {}}))
    assert "The run was sent, but whether it was accepted is unknown." in text
    assert len([line for line in platform.request_lines if line.startswith("POST")]) == 1


@pytest.mark.parametrize("status", [408, 499])
async def test_a_container_call_with_a_gateway_timeout_may_have_been_carried_out(
    client: Client, platform: FakePlatform, status: int
) -> None:
    platform.on("POST", "/r/invoke/svc", {"error_message": "request timeout"}, status=status)
    call = {"service_slug": "svc", "method": "POST", "path": "/"}
    assert "may have been carried out" in error_text(await client.call_tool("call_container_service", call))


async def test_a_read_with_a_gateway_timeout_is_retried(client: Client, platform: FakePlatform) -> None:
    answers = iter([httpx2.Response(408, json={"error_message": "request timeout"})])
    platform.on("GET", "/r/tasks/t", lambda _: next(answers, httpx2.Response(200, json={"id": "t"})))
    assert structured(await client.call_tool("get_task", {"task_id": "t"})) == {"id": "t"}


@pytest.mark.parametrize("odd", [True, False, "1", None, 1.5, [], {}, 0, -1])
@pytest.mark.parametrize("name", ["current_page", "per_page", "total_count"])
@pytest.mark.parametrize(("tool", "key"), [("list_tasks", "task_list"), ("list_container_services", "service_list")])
async def test_an_odd_page_meta_does_not_hide_the_list(
    client: Client, platform: FakePlatform, tool: str, key: str, name: str, odd: Any
) -> None:
    meta = {"current_page": 1, "per_page": 1, "total_count": 2, name: odd}
    path = {"list_tasks": "/r/tasks", "list_container_services": "/r/containers"}[tool]
    platform.on("GET", path, {key: [{"id": "x", "service_slug": "x"}], "page_meta": meta})
    answer = structured(await client.call_tool(tool, {}))
    assert [item["id"] for item in answer[key]] == ["x"]
    assert "next_page" not in answer


@pytest.mark.parametrize("total", [True, "many", None])
async def test_an_odd_page_meta_does_not_stop_the_search_for_a_lost_run(
    client: Client, platform: FakePlatform, total: Any
) -> None:
    platform.on("POST", "/r/workflows/slug/w/run", {"error_message": "bad gateway"}, status=502)
    platform.on("GET", "/r/workflows/slug/w", {"id": "w-id"})
    task = {"id": "ours", "workflow_id": "w-id", "task_status": "running", "created_at": "2999-01-01T00:00:00Z"}
    platform.on("GET", "/r/tasks", {"task_list": [task], "page_meta": {"total_count": total}})
    text = error_text(await client.call_tool("run_workflow_by_slug", {"workflow_slug": "w", "body": {}}))
    assert "- ours: running" in text
