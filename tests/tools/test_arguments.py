"""Invalid arguments: the error lets the model repair its call, and no request is sent."""

import difflib
from typing import Any

import pytest
from mcp import Client, MCPError

from cyberun_mcp.errors import InvalidArguments
from cyberun_mcp.tools import TOOLS
from cyberun_mcp.tools.arguments import parse_arguments
from tests.fake_platform import FakePlatform, error_text

INVALID = [
    ("list_workflows", {"per_page": 0}, ["per_page", "an integer from 1 to 100"]),
    ("list_workflows", {"per_page": 101}, ["per_page", "got 101"]),
    ("list_workflows", {"current_page": 0}, ["current_page", "an integer of at least 1"]),
    ("list_workflows", {"current_page": "2"}, ["current_page", "got a string"]),
    ("list_workflows", {"current_page": None}, ["current_page", "got null"]),
    ("list_workflows", {"current_page": True}, ["current_page", "got a boolean"]),
    ("list_workflows", {"perpage": 3}, ["perpage: unknown argument. Did you mean per_page?"]),
    ("list_tasks", {"status": "done"}, ["status", "one of pending, waiting, queued, running"]),
    ("list_tasks", {"status": None}, ["status", "got null"]),
    ("get_task", {}, ["task_id: missing", "a non-empty string"]),
    ("get_task", {"task_id": ""}, ["task_id", "got an empty string"]),
    ("get_task", {"task_id": 7}, ["task_id", "got 7"]),
    ("run_workflow", {"workflow_id": "x"}, ["body: missing", "an object with parameters"]),
    ("run_workflow", {"workflow_id": "x", "body": "no json"}, ["body", "got a string"]),
    ("run_workflow", {"workflow_id": "x", "body": "[1]"}, ["body", "got an array"]),
    ("run_workflow", {"workflow_id": "x", "body": {"prompt": 1}}, ["body.prompt: unknown argument"]),
    ("run_workflow", {"workflow_id": "x", "body": {"parameters": []}}, ["body.parameters", "an object"]),
    ("stream_task_events", {"task_id": "t", "timeout_seconds": 0}, ["timeout_seconds", "from 1 to 3600"]),
    ("stream_task_events", {"task_id": "t", "timeout_seconds": 3601}, ["timeout_seconds", "from 1 to 3600"]),
    ("list_container_services", {"current_page": 1}, ["unknown argument", "Valid arguments: none."]),
    ("presign_file_upload", {"body": {"file_name": "a.png"}}, ["body.file_size: missing", "body.content_type"]),
    ("presign_file_upload", {"body": {"file_name": "", "file_size": 1, "content_type": "x"}}, ["body.file_name"]),
    ("call_container_service", {"service_slug": "s", "method": "BREW", "path": "/"}, ["method", "one of GET, POST"]),
    ("call_container_service", {"service_slug": "s", "method": "GET", "path": "x"}, ["path", "begins with one /"]),
    ("call_container_service", {"service_slug": "s", "method": "GET", "path": "//h"}, ["path", "begins with one /"]),
    ("call_container_service", {"service_slug": "s", "method": "GET", "path": "/a/../b"}, ["path", ".."]),
    ("call_container_service", {"service_slug": "s", "method": "GET", "path": "/%2e%2e/b"}, ["path", ".."]),
    ("call_container_service", {"service_slug": "s", "method": "GET", "path": "/a\r\nX: y"}, ["path", "control"]),
    (
        "call_container_service",
        {"service_slug": "s", "method": "POST", "path": "/", "body_base64": "%%%"},
        ["body_base64", "base64"],
    ),
    (
        "call_container_service",
        {"service_slug": "s", "method": "GET", "path": "/", "headers": {"X-A": "b\r\nc: d"}},
        ["headers", "X-A"],
    ),
    (
        "call_container_service",
        {"service_slug": "s", "method": "GET", "path": "/", "headers": {"X A": "b"}},
        ["headers", "not a header name"],
    ),
    (
        "call_container_service",
        {"service_slug": "s", "method": "GET", "path": "/", "headers": {"X-A": 1}},
        ["headers.X-A", "a string"],
    ),
]


@pytest.mark.parametrize(("tool", "arguments", "words"), INVALID)
async def test_an_invalid_argument_is_named_with_what_is_valid_and_nothing_is_sent(
    client: Client, platform: FakePlatform, tool: str, arguments: dict[str, Any], words: list[str]
) -> None:
    text = error_text(await client.call_tool(tool, arguments))
    assert text.startswith(f"Invalid arguments for {tool}; nothing was sent.")
    assert "Valid arguments: " in text
    for phrase in words:
        assert phrase in text
    assert platform.request_lines == []


async def test_an_invalid_value_is_not_shown_because_it_may_be_a_secret(client: Client, platform: FakePlatform) -> None:
    text = error_text(await client.call_tool("list_workflows", {"per_page": "hunter2-hunter2"}))
    assert "hunter2" not in text


async def test_an_unknown_tool_is_a_protocol_error(client: Client) -> None:
    with pytest.raises(MCPError) as caught:
        await client.call_tool("list_workflow", {})
    assert caught.value.error.code == -32602
    assert "list_workflow" in caught.value.error.message


MANY = {f"prompt{number}": 1 for number in range(5_000)}
LONG = "x" * 100_000
INVOKE = {"service_slug": "s", "method": "GET", "path": "/"}


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("run_workflow", MANY, ["- prompt7: unknown argument", "- and 4,992 more.", "Valid arguments: workflow_id"]),
        ("run_workflow", {"workflow_id": "x", "body": MANY}, ["- body: expected an object of at most 100 members"]),
        ("run_workflow", {"workflow_id": "x", "body": dict.fromkeys(list(MANY)[:50])}, ["- and 40 more."]),
        ("call_container_service", {**INVOKE, "headers": MANY}, ["- headers: expected an object of at most 100"]),
        ("call_container_service", {**INVOKE, "headers": {f"{LONG} ": "1"}}, ["- headers: "]),
        ("call_container_service", {**INVOKE, "headers": {LONG: 1}}, ["- headers.xxx"]),
        ("call_container_service", {**INVOKE, "path": f"/{LONG}"}, ["- path: expected a path of at most 8,000"]),
        ("list_workflows", {LONG: 1}, ["unknown argument"]),
        ("get_task", {"task_id": LONG}, ["- task_id: expected"]),
        ("list_tasks", {"status": LONG}, ["- status: expected one of"]),
    ],
)
async def test_of_thousands_of_problems_ten_are_listed_and_the_others_counted(
    client: Client, platform: FakePlatform, tool: str, arguments: dict[str, Any], words: list[str]
) -> None:
    text = error_text(await client.call_tool(tool, arguments))
    assert len(text) < 4_000
    assert text.count("\n- ") <= 11
    for phrase in words:
        assert phrase in text
    assert platform.request_lines == []


def test_the_work_on_unknown_arguments_does_not_grow_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    def note(name: str, *_: Any, **__: Any) -> list[str]:
        looked_up.append(name)
        return []

    monkeypatch.setattr(difflib, "get_close_matches", note)
    [run_workflow] = (tool for tool in TOOLS if tool.name == "run_workflow")
    for arguments in (MANY, {LONG: 1}, {"workflow_id": "x", "body": MANY}):
        with pytest.raises(InvalidArguments):
            parse_arguments(run_workflow.name, run_workflow.arguments, arguments)
    assert len(looked_up) == 9
    assert max(map(len, looked_up)) <= 100


async def test_the_long_name_of_an_unknown_tool_is_truncated(client: Client) -> None:
    with pytest.raises(MCPError) as caught:
        await client.call_tool(LONG, {})
    assert len(caught.value.error.message) < 200
