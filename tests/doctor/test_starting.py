"""How the doctor starts what an entry says, and how it ends it again."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from cyberun_mcp.clients.configure import write
from cyberun_mcp.clients.paths import Machine
from cyberun_mcp.clients.render import Connection
from cyberun_mcp.clients.table import BY_NAME
from cyberun_mcp.doctor import starting
from cyberun_mcp.doctor.configured import check_clients
from cyberun_mcp.doctor.entries import Started
from cyberun_mcp.doctor.starting import Fails, start

SERVER = (sys.executable, "-m", "cyberun_mcp")
ANSWER = '{"jsonrpc": "2.0", "id": 1, "result": {"serverInfo": {"name": "theirs", "version": "1"}}}'


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "PATIENCE", 60.0)
    monkeypatch.setattr(starting, "ENDING", 60.0)


def script(code: str) -> Started:
    """A server of a few lines."""
    return Started((sys.executable, "-c", code), dict(os.environ))


async def test_an_emulators_temporary_folder_goes_with_the_check(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environ = {"PATH": os.environ.get("PATH", ""), "HOME": str(tmp_path), "TMPDIR": str(temporary)}
    machine = Machine(home=tmp_path, platform="linux", environ=environ, folder=tmp_path / "project")
    write(BY_NAME["opencode"], Connection(emulator=True, command=SERVER), machine)
    [finding] = await check_clients(machine)
    assert (finding.status, list(temporary.iterdir())) == ("ok", [])


async def test_a_server_gets_to_end_by_itself(tmp_path: Path) -> None:
    goodbye = tmp_path / "goodbye"
    code = f"import sys; input(); print('{ANSWER}', flush=True); sys.stdin.read(); open({str(goodbye)!r}, 'w').close()"
    assert await start(script(code)) == "starts: theirs 1"
    assert goodbye.exists()


async def test_one_that_overlooks_the_end_of_its_input_is_told_to_end_and_only_then_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done_to_it: list[str] = []
    asked_for = anyio.open_process

    async def recorded(*arguments: Any, **options: Any) -> Process:
        process = await asked_for(*arguments, **options)
        assert process.stdin
        monkeypatch.setattr(process.stdin, "aclose", noting("input closed", process.stdin.aclose))
        monkeypatch.setattr(process, "terminate", noting("terminated"))  # it overlooks that too
        monkeypatch.setattr(process, "kill", noting("killed", process.kill))
        return process

    def noting(what: str, then: Callable[[], Any] = lambda: None) -> Callable[[], Any]:
        def note() -> Any:
            done_to_it.append(what)
            return then()

        return note

    monkeypatch.setattr(anyio, "open_process", recorded)
    monkeypatch.setattr(starting, "ENDING", 0.01)
    code = f"import time; input(); print('{ANSWER}', flush=True); time.sleep(600)"
    assert await start(script(code)) == "starts: theirs 1"
    assert done_to_it[:3] == ["input closed", "terminated", "killed"]


async def test_one_that_logs_more_than_a_pipe_holds_is_heard_all_the_same() -> None:
    code = f"import sys; sys.stderr.write('x' * (1 << 20)); input(); print('{ANSWER}', flush=True); sys.stdin.read()"
    assert await start(script(code)) == "starts: theirs 1"


async def test_the_last_word_of_one_that_ends_at_once_is_told() -> None:
    with pytest.raises(Fails, match="it ends at once: no luck today"):
        await start(script("import sys; sys.stderr.write('x' * (1 << 20) + chr(10)); sys.exit('no luck today')"))


async def test_one_that_never_ends_its_line_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "ENDING", 0.01)  # it does not look at its input, so it never ends by itself
    with pytest.raises(Fails, match="not an MCP server"):
        await start(script("import sys\nwhile True: sys.stdout.write('x' * 65536)"))
