"""The embedded platform's temporary folder goes with the command, at whatever moment a signal ends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to handle")

COMMANDS = {
    "http": ("http", "--emulator", "--port", "0"),
    "workers": ("http", "--emulator", "--port", "0", "--workers", "2"),
    "emulator": ("emulator", "--port", "0"),
    "stdio": ("--emulator",),
}
STATUS = {signal.SIGTERM: 0, signal.SIGINT: 130, signal.SIGHUP: 129} if sys.platform != "win32" else {}
GUARD = 60  # seconds, in which a busy machine has done everything long ago


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The command, with `folder` for its temporary files and what it says in `folder`.log; stdin stays open."""
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CYBERUN_")}
    with folder.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cyberun_mcp", *arguments],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder.parent,
            env=kept | {"TMPDIR": str(folder)},
            # A shell starts what runs in the background with SIGINT ignored, and the tests may be run so.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(process: "subprocess.Popen[bytes]", condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GUARD
    while not condition():
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def send_until_ended(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal again and again, so that some come while the command is closing what it has opened."""
    deadline = time.monotonic() + GUARD
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(number)
        time.sleep(0.002)
    process.wait(timeout=1)


def has_a_folder(temporary: Path) -> bool:
    return any(temporary.iterdir())


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_as_soon_as_the_folder_is_there_leaves_nothing(
    tmp_path: Path, command: str, number: signal.Signals
) -> None:
    if number == signal.SIGHUP and command in ("http", "workers"):
        pytest.skip("has it read its files again")
    temporary = tmp_path / "temporary"
    with started(temporary, *COMMANDS[command]) as process:
        wait_until(process, lambda: has_a_folder(temporary))
        process.send_signal(number)
        status = process.wait(timeout=GUARD)
        log = temporary.with_suffix(".log").read_text(encoding="utf-8")
        assert list(temporary.iterdir()) == []
        assert status == STATUS[number]
        assert "Traceback" not in log


@pytest.mark.parametrize("command", ["http", "workers", "emulator", "stdio"])
def test_signals_that_go_on_while_it_ends_leave_nothing(tmp_path: Path, command: str) -> None:
    temporary = tmp_path / "temporary"
    log = temporary.with_suffix(".log")
    with started(temporary, *COMMANDS[command]) as process:
        wait_until(process, lambda: "mbedded platform" in log.read_text(encoding="utf-8"))
        send_until_ended(process, signal.SIGTERM)
        assert list(temporary.iterdir()) == []
        assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["http", "workers"])
def test_a_reload_before_there_is_anything_to_reload_ends_nothing(tmp_path: Path, command: str) -> None:
    temporary = tmp_path / "temporary"
    log = temporary.with_suffix(".log")
    with started(temporary, *COMMANDS[command]) as process:
        wait_until(process, lambda: has_a_folder(temporary))
        process.send_signal(signal.SIGHUP)
        wait_until(process, lambda: "MCP endpoint: " in log.read_text(encoding="utf-8"))
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=GUARD) == 0
        assert list(temporary.iterdir()) == []


def test_the_end_of_input_leaves_nothing(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    with started(temporary, *COMMANDS["stdio"]) as process:
        wait_until(process, lambda: has_a_folder(temporary))
        process.communicate(timeout=GUARD)
        assert list(temporary.iterdir()) == []
        assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no nohup")
def test_a_hangup_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    log = temporary.with_suffix(".log")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does; a child inherits it
    try:
        with started(temporary, *COMMANDS["emulator"]) as process:
            wait_until(process, lambda: has_a_folder(temporary))
            process.send_signal(signal.SIGHUP)
            wait_until(process, lambda: "Ctrl-C ends it" in log.read_text(encoding="utf-8"))
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=GUARD) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
