"""The handshake of real processes: answered before the SDK is there, and handed over without a trace."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cyberun_mcp.stdio.snapshot import read_snapshot
from tests.stdio.process import COMMAND, META, OLD_ERAS, Pipe, server
from tests.waiting import GUARD, wait_until

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or read_snapshot() is None, reason="here the SDK answers from the start"
)
SLOW = {"CYBERUN_BODY": "both"}  # a setting that can change the tools: the SDK answers everything
INTRODUCTION = {"capabilities": {}, "clientInfo": {"name": "opencode", "version": "1"}}
TOO_LONG = {"name": "stream_task_events", "arguments": {"task_id": "t", "timeout_seconds": 3601}}


def opening(revision: str) -> list[dict[str, Any]]:
    if revision not in OLD_ERAS:
        return [
            {"id": 1, "method": "server/discover", "params": {"_meta": META}},
            {"id": 2, "method": "tools/list", "params": {"_meta": META}},
        ]
    return [
        {
            "id": 1,
            "method": "initialize",
            "params": {"protocolVersion": revision, **INTRODUCTION},
        },
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
        {"id": "three", "method": "ping"},
    ]


def answers(pipe: Pipe, *messages: dict[str, Any]) -> list[str]:
    """The lines a server answers, each message sent when the one before is answered."""
    said = []
    for each in messages:
        pipe.send(each)
        if "id" in each:
            said.append(pipe.line())
    return said


def line_of(message: dict[str, Any]) -> str:
    return json.dumps({"jsonrpc": "2.0", **message}) + "\n"


@pytest.fixture
def without_sdk(tmp_path: Path) -> dict[str, str]:
    """An environment in which importing `mcp` never ends."""
    (tmp_path / "mcp.py").write_text("import time\ntime.sleep(3600)\n", encoding="utf-8")
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("revision", [*OLD_ERAS, "2026-07-28"])
def test_a_handshake_is_answered_before_the_sdk_is_there(revision: str, without_sdk: dict[str, str]) -> None:
    with server(**without_sdk) as early, server(**SLOW) as usual:
        assert answers(early, *opening(revision)) == answers(usual, *opening(revision))


def test_a_client_that_falls_back_to_initialize_is_answered_early_too(without_sdk: dict[str, str]) -> None:
    with server(**without_sdk) as early:
        assert len(answers(early, *opening("2026-07-28"), *opening("2025-06-18"))) == 5


@pytest.mark.parametrize(("how", "status"), [("end of input", 0), ("SIGTERM", 0), ("SIGINT", 130)])
def test_it_ends_at_once_while_the_sdk_is_loading(how: str, status: int, without_sdk: dict[str, str]) -> None:
    with server(**without_sdk) as early:
        answers(early, *opening("2025-11-25"))
        if how == "end of input":
            early.stdin.close()
        else:
            early.process.send_signal(getattr(signal, how))
        assert early.process.wait(timeout=GUARD) == status
        assert early.stdout.read() == ""
        assert early.process.stderr is not None
        assert early.process.stderr.read() == ""


def test_a_waiting_call_does_not_keep_a_signal_waiting(without_sdk: dict[str, str]) -> None:
    with server(**without_sdk) as early:
        answers(early, *opening("2025-11-25"))
        early.send({"id": 3, "method": "tools/call", "params": {"name": "get_task", "arguments": {}}})
        early.wait_until_read()
        early.process.terminate()
        assert early.process.wait(timeout=GUARD) == 0


def test_an_sdk_that_cannot_be_loaded_is_told_and_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "mcp.py").write_text("raise ImportError('half an installation')\n", encoding="utf-8")
    with server(PYTHONPATH=str(tmp_path)) as broken:
        assert broken.process.wait(timeout=GUARD) == 1
        assert broken.process.stderr is not None
        assert "half an installation" in broken.process.stderr.read()


TROUBLE: list[dict[str, Any]] = [
    {"method": "notifications/cancelled", "params": {"requestId": 2}},
    {"id": 4, "method": "no/such"},
    {"id": 5, "method": "tools/list", "params": {"cursor": "x"}},
    {"id": 6, "method": "tools/call", "params": TOO_LONG},
    {
        "id": 7,
        "method": "initialize",
        "params": {"protocolVersion": "2024-11-05", **INTRODUCTION},
    },
    {"id": 8, "method": "tools/call", "params": {"name": "nope"}},
    {"id": 9, "method": "ping"},
]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_wherever_the_sdk_takes_over_the_answers_are_the_same(after: int) -> None:
    first = opening("2025-06-18")
    messages = [*first[:after], *TROUBLE[after % 2 :], *first[after:], *TROUBLE]
    with server() as early, server(**SLOW) as usual:
        assert answers(early, *messages) == answers(usual, *messages)


def test_what_is_no_message_is_ignored_and_what_follows_is_answered() -> None:
    with server() as early:
        early.stdin.write('{"half": \n\n[]\n{"jsonrpc":"2.0","id":null,"method":"ping"}\n')
        early.initialize()
        early.stdin.write('"\ud7ff"\nnull\n')
        early.send({"id": 2, "method": "ping"})
        assert early.answer_to(2)["result"] == {}


def test_a_message_may_come_in_pieces_and_several_at_once() -> None:
    with server() as early, server(**SLOW) as usual:
        text = "".join(map(line_of, [*opening("2025-03-26"), *TROUBLE[1:4]]))
        for piece in (text[:7], text[7:150], text[150:300], text[300:]):
            early.stdin.write(piece)
            early.stdin.flush()
            early.wait_until_read()
        usual.stdin.write(text)
        usual.stdin.flush()
        assert sorted(early.line() for _ in range(6)) == sorted(usual.line() for _ in range(6))


def test_a_last_line_without_its_end_is_answered() -> None:
    text = "".join(map(line_of, opening("2025-11-25"))).rstrip("\n")
    finished = subprocess.run(COMMAND, input=text, capture_output=True, text=True, timeout=GUARD, check=True)
    assert [json.loads(line)["id"] for line in finished.stdout.splitlines()] == [1, 2, "three"]


def test_the_handshake_takes_the_standard_library_alone() -> None:
    program = "import sys, cyberun_mcp.stdio.fast_start; print(*sorted({each.split('.')[0] for each in sys.modules}))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    foreign = (
        set(finished.stdout.split()) - set(sys.stdlib_module_names) - {"__main__", "sitecustomize", "_distutils_hack"}
    )
    assert foreign == {"cyberun_mcp"}
    assert not set(finished.stdout.split()) & {"asyncio", "dataclasses", "inspect", "logging", "pathlib"}


@pytest.mark.parametrize("arguments", [["--emulator"], ["--log-level", "warning", "--call-timeout=30"]])
def test_arguments_that_leave_the_tools_as_they_are_keep_the_start_fast(
    arguments: list[str], without_sdk: dict[str, str]
) -> None:
    with server(*arguments, **without_sdk) as early, server(*arguments, **SLOW) as usual:
        assert answers(early, *opening("2025-11-25")) == answers(usual, *opening("2025-11-25"))


def test_a_call_after_a_fast_start_reaches_the_emulator() -> None:
    with server("--emulator") as early:
        answers(early, *opening("2025-11-25"))
        early.send({"id": 3, "method": "tools/call", "params": {"name": "list_workflows", "arguments": {}}})
        assert early.answer_to(3)["result"].get("isError") is not True


def test_without_its_extra_the_emulator_is_refused_before_anything_is_answered(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['PIL'] = None\n"
        "from cyberun_mcp.stdio import fast_start, standard_start\n"
        "standard_start.has_emulator = lambda: False\n"
        "sys.argv[1:] = ['--emulator']\n"
        "fast_start.main()"
    )
    text = "".join(map(line_of, opening("2025-11-25")))
    finished = subprocess.run(
        [sys.executable, "-c", program], input=text, capture_output=True, text=True, timeout=GUARD, check=False
    )
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "cyberun-mcp[emulator]" in finished.stderr


@pytest.fixture
def newer_sdk(tmp_path: Path) -> dict[str, str]:
    """An environment in which another version of the SDK is installed, and an empty cache folder."""
    site, [mcp] = tmp_path / "site", __import__("mcp").__path__
    (site / "mcp-2.3.99.dist-info").mkdir(parents=True)
    (site / "mcp-2.3.99.dist-info" / "METADATA").write_text("Name: mcp\nVersion: 2.3.99\n", encoding="utf-8")
    (site / "mcp").symlink_to(mcp)
    return {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_a_start_with_another_version_of_the_sdk_makes_the_next_one_fast(
    newer_sdk: dict[str, str], tmp_path: Path
) -> None:
    cache = tmp_path / "cache" / "cyberun-mcp"
    with server(**newer_sdk) as slow:
        said = answers(slow, *opening("2025-11-25"))
        wait_until(lambda: cache.is_dir() and any(cache.glob("handshake-*.json")))
    [file] = cache.iterdir()
    assert "mcp-2.3.99" in file.name
    package = tmp_path / "site" / "mcp"
    package.unlink()
    package.mkdir()
    (package / "__init__.py").write_text("import time\ntime.sleep(3600)\n", encoding="utf-8")
    with server(**newer_sdk) as fast:
        assert answers(fast, *opening("2025-11-25")) == said
