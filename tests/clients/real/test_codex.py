"""Codex's app-server makes real tool calls, with the configuration we write for it. No model is asked."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cyberun_mcp.tools import TOOLS
from tests.clients.real.conftest import Installed
from tests.clients.real.programs import CODEX
from tests.clients.real.stage import Home


class AppServer:
    """JSON-RPC with `codex app-server`, one request at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._number = 0

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """The result of one request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._number += 1
        self._process.stdin.write(json.dumps({"id": self._number, "method": method, "params": params}) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self._number and "method" not in answer:
                assert "error" not in answer, answer
                return answer["result"]
        raise AssertionError(f"codex ended without answering {method}")


@contextmanager
def app_server(command: list[str], home: Home) -> Iterator[AppServer]:
    with subprocess.Popen(
        [*command, "app-server"],
        cwd=home.path,
        env=home.environment | {"CODEX_HOME": str(home.path / ".codex")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield AppServer(process)
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["stdio", "http", "bridge"])
def test_codex_runs_a_task_to_its_end(installed: Installed, home: Home, kind: str) -> None:
    command = installed(CODEX.name, CODEX.command)
    home.connect("codex", kind)
    with app_server(command, home) as codex:
        codex.ask(
            "initialize", {"clientInfo": {"name": "test", "version": "1"}, "capabilities": {"experimentalApi": True}}
        )
        [server] = codex.ask("mcpServerStatus/list", {"serverName": "cyberun"})["data"]
        assert len(server["tools"]) == len(TOOLS)
        thread = codex.ask("thread/start", {"cwd": str(home.path)})["thread"]["id"]

        def call(tool: str, arguments: dict[str, Any]) -> Any:
            result = codex.ask(
                "mcpServer/tool/call", {"server": "cyberun", "threadId": thread, "tool": tool, "arguments": arguments}
            )
            assert not result.get("isError"), result
            return result["structuredContent"]

        body = {"parameters": {"prompt": "a red fox at night", "steps": 10}}
        run = call("run_workflow_by_slug", {"workflow_slug": "text-to-image", "body": body})
        assert call("stream_task_events", run)["task_status"] == "completed"
        assert call("get_task_result", run)["download_url"].startswith("http://127.0.0.1")
