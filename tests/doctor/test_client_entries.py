"""The check of the AI clients that are configured on this machine."""

import os
import socket
import sys
from pathlib import Path

import pytest

from cyberun_mcp.clients.config_file import write_entry
from cyberun_mcp.clients.machine import Machine
from cyberun_mcp.clients.render import ConnectionOptions, config_text
from cyberun_mcp.clients.table import BY_NAME
from cyberun_mcp.doctor.client_entries import EndpointEntry, VariableNotSet, check_clients, resolve_entry
from tests.doctor.findings import found

KEY = "sk-canary0123456789abcdef"
URL = "http://127.0.0.1:8000/mcp"
SERVER = (sys.executable, "-m", "cyberun_mcp")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    environ = {"PATH": os.environ.get("PATH", ""), "CYBERUN_API_KEY": KEY, "HOME": str(tmp_path)}
    return Machine(home=tmp_path, platform="linux", environ=environ, project_folder=tmp_path / "project")


async def test_the_servers_of_connected_clients_are_started(machine: Machine) -> None:
    write_entry(BY_NAME["cursor"], ConnectionOptions(command=SERVER), machine)
    write_entry(BY_NAME["codex"], ConnectionOptions(command=SERVER), machine)
    write_entry(BY_NAME["opencode"], ConnectionOptions(emulator=True, command=SERVER), machine)
    findings = await check_clients(machine)
    assert [(each.check, each.status) for each in findings] == [("Cursor", "ok"), ("Codex", "ok"), ("opencode", "ok")]
    assert "starts: cyberun-cloud" in findings[0].text


async def test_the_file_of_a_project_is_checked_too(machine: Machine) -> None:
    machine.project_folder.mkdir()
    config = config_text(BY_NAME["claude-code"], ConnectionOptions(command=SERVER))
    (machine.project_folder / ".mcp.json").write_text(config, encoding="utf-8")
    [finding] = await check_clients(machine)
    assert (finding.check, finding.status) == ("Claude Code (.mcp.json)", "ok")


async def test_each_entry_that_does_not_work_is_an_error_with_a_remedy(machine: Machine) -> None:
    write_entry(BY_NAME["cursor"], ConnectionOptions(command=("/nowhere/cyberun-mcp",)), machine)
    write_entry(
        BY_NAME["gemini"],
        ConnectionOptions(command=(sys.executable, "-c", "import sys; sys.exit('no luck today')")),
        machine,
    )
    write_entry(
        BY_NAME["qwen"],
        ConnectionOptions(command=(sys.executable, "-c", "print('hello', flush=True); input(); input()")),
        machine,
    )
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    write_entry(BY_NAME["windsurf"], ConnectionOptions("http", f"http://127.0.0.1:{port}/mcp"), machine)
    file = machine.config_file(BY_NAME["zed"])
    assert file
    file.parent.mkdir(parents=True)
    file.write_text("{", encoding="utf-8")
    findings = await check_clients(machine)
    assert all(each.status == "error" for each in findings)
    assert "not found: /nowhere/cyberun-mcp" in found(findings, "Cursor").text
    assert "no luck today" in found(findings, "Gemini CLI").text
    assert "not an MCP server" in found(findings, "Qwen Code").text
    assert "cyberun-mcp http" in found(findings, "Windsurf").remedy
    assert "cannot be parsed" in found(findings, "Zed").text


async def test_a_variable_that_is_not_set_is_an_error(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "linux", {"PATH": ""}, project_folder=tmp_path)
    write_entry(BY_NAME["cursor"], ConnectionOptions(command=SERVER), machine)
    write_entry(BY_NAME["zed"], ConnectionOptions(command=SERVER), machine)
    findings = await check_clients(machine)
    assert all("CYBERUN_API_KEY, which is not set here" in each.text for each in findings)


async def test_no_connected_client_is_a_warning(machine: Machine) -> None:
    [finding] = await check_clients(machine)
    assert "config CLIENT --write" in finding.remedy


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Bearer ${A}", "Bearer 1"), ("${A:-2}", "1"), ("${B:-2}", "2"), ("${env:A}", "1"), ("{env:A}", "1"), ("$A", "1")],
)
def test_a_variable_is_replaced_in_every_syntax_of_the_clients(text: str, expected: str) -> None:
    entry = {"url": URL, "headers": {"X": text}}
    assert resolve_entry(BY_NAME["cursor"], entry, {"A": "1"}) == EndpointEntry(URL, {"X": expected})


def test_a_bearer_token_comes_from_the_variable_that_the_entry_names() -> None:
    entry = {"url": URL, "bearer_token_env_var": "A"}
    resolved = resolve_entry(BY_NAME["codex"], entry, {"A": "1"})
    assert resolved == EndpointEntry(URL, {"Authorization": "Bearer 1"})
    with pytest.raises(VariableNotSet, match="needs A"):
        resolve_entry(BY_NAME["codex"], entry, {})
