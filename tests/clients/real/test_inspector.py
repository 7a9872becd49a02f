"""The Inspector finds our tools portable, in both eras, over stdio and HTTP; mcporter runs a task."""

import json
from typing import Any

import pytest

from cyberun_mcp.tools import TOOLS
from tests.clients.real.conftest import Installed
from tests.clients.real.programs import INSPECTOR, MCPORTER
from tests.clients.real.stage import SERVER, Home


def target(home: Home, kind: str) -> list[str]:
    if kind == "stdio":
        return [*SERVER, "--emulator"]
    return [home.endpoint.url, "--transport", "http", "--header", f"Authorization: Bearer {home.endpoint.key}"]


@pytest.mark.parametrize("kind", ["stdio", "http"])
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_is_strict_and_content(installed: Installed, home: Home, kind: str, era: str) -> None:
    command = installed(INSPECTOR.name, INSPECTOR.command)
    options = ["--protocol-era", era, "--method", "tools/list", "--strict", "--format", "json"]
    result = home.run(
        [*command, "--cli", *target(home, kind), *options], MCP_CATALOG_PATH=str(home.path / "catalog.json")
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(json.loads(result.stdout)["result"]["tools"]) == len(TOOLS)


@pytest.mark.parametrize("kind", ["stdio", "http"])
def test_mcporter_runs_a_task_to_its_end(installed: Installed, home: Home, kind: str) -> None:
    command = installed(MCPORTER.name, MCPORTER.command)
    home.connect("claude-code", kind)
    config = home.path / "mcporter.json"
    config.write_bytes((home.path / ".claude.json").read_bytes())

    def call(tool: str, **arguments: Any) -> Any:
        options = ["--args", json.dumps(arguments), "--output", "json"]
        result = home.run([*command, "--config", str(config), "call", f"cyberun.{tool}", *options])
        assert result.returncode == 0, result.stdout + result.stderr
        return json.loads(result.stdout)

    body = {"parameters": {"prompt": "a red fox at night", "steps": 10}}
    task_id = call("run_workflow_by_slug", workflow_slug="text-to-image", body=body)["task_id"]
    waited = call("stream_task_events", task_id=task_id)
    assert waited["task_status"] == "completed"
    assert waited["progress"] == 1.0
