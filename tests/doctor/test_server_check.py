"""Starting the command of an entry, waiting for its response, and stopping it again."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from cyberun_mcp.clients.config_file import write_entry
from cyberun_mcp.clients.machine import Machine
from cyberun_mcp.clients.render import ConnectionOptions
from cyberun_mcp.clients.table import BY_NAME
from cyberun_mcp.doctor import server_check
from cyberun_mcp.doctor.client_entries import check_clients
from cyberun_mcp.doctor.server_check import ServerCheckFailed, check_command

SERVER = (sys.executable, "-m", "cyberun_mcp")
RESPONSE = '{"jsonrpc": "2.0", "id": 1, "result": {"serverInfo": {"name": "theirs", "version": "1"}}}'


@pytest.fixture(autouse=True)
def long_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine must not reach a timeout."""
    monkeypatch.setattr(server_check, "RESPONSE_TIMEOUT", 60.0)
    monkeypatch.setattr(server_check, "EXIT_TIMEOUT", 60.0)


async def check_script(code: str) -> str:
    """Check a server that consists of a few lines of Python."""
    return await check_command((sys.executable, "-c", code), dict(os.environ))


async def test_the_temporary_folder_of_an_emulator_is_removed(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environ = {"PATH": os.environ.get("PATH", ""), "HOME": str(tmp_path), "TMPDIR": str(temporary)}
    machine = Machine(home=tmp_path, platform="linux", environ=environ, project_folder=tmp_path / "project")
    write_entry(BY_NAME["opencode"], ConnectionOptions(emulator=True, command=SERVER), machine)
    [finding] = await check_clients(machine)
    assert (finding.status, list(temporary.iterdir())) == ("ok", [])


async def test_a_server_gets_the_time_to_exit_by_itself(tmp_path: Path) -> None:
    exited = tmp_path / "exited"
    code = f"import sys; input(); print('{RESPONSE}', flush=True); sys.stdin.read(); open({str(exited)!r}, 'w').close()"
    assert await check_script(code) == "starts: theirs 1"
    assert exited.exists()


async def test_a_server_can_write_more_than_a_pipe_holds_before_it_exits(tmp_path: Path) -> None:
    exited = tmp_path / "exited"
    write = f"print('x' * (1 << 20), flush=True); open({str(exited)!r}, 'w').close()"
    code = f"import sys; input(); print('{RESPONSE}', flush=True); sys.stdin.read(); {write}"
    assert await check_script(code) == "starts: theirs 1"
    assert exited.exists()


async def test_a_server_that_ignores_the_end_of_its_input_is_terminated_and_only_then_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    actions: list[str] = []
    open_process = anyio.open_process

    async def open_and_record(*arguments: Any, **options: Any) -> Process:
        process = await open_process(*arguments, **options)
        assert process.stdin
        monkeypatch.setattr(process.stdin, "aclose", recording("input closed", process.stdin.aclose))
        monkeypatch.setattr(process, "terminate", recording("terminated"))  # it ignores that too
        monkeypatch.setattr(process, "kill", recording("killed", process.kill))
        return process

    def recording(action: str, then: Callable[[], Any] = lambda: None) -> Callable[[], Any]:
        def record() -> Any:
            actions.append(action)
            return then()

        return record

    monkeypatch.setattr(anyio, "open_process", open_and_record)
    monkeypatch.setattr(server_check, "EXIT_TIMEOUT", 0.01)
    code = f"import time; input(); print('{RESPONSE}', flush=True); time.sleep(600)"
    assert await check_script(code) == "starts: theirs 1"
    assert actions[:3] == ["input closed", "terminated", "killed"]


async def test_a_server_can_log_more_than_a_pipe_holds() -> None:
    code = f"import sys; sys.stderr.write('x' * (1 << 20)); input(); print('{RESPONSE}', flush=True); sys.stdin.read()"
    assert await check_script(code) == "starts: theirs 1"


async def test_the_last_line_of_the_log_explains_why_a_server_exits() -> None:
    with pytest.raises(ServerCheckFailed, match="it ends at once: no luck today"):
        await check_script("import sys; sys.stderr.write('x' * (1 << 20) + chr(10)); sys.exit('no luck today')")


async def test_a_process_that_never_ends_its_line_is_not_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_check, "EXIT_TIMEOUT", 0.01)  # it does not read its input, so it never exits by itself
    with pytest.raises(ServerCheckFailed, match="not an MCP server"):
        await check_script("import sys\nwhile True: sys.stdout.write('x' * 65536)")
