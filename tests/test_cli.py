"""The command line: it teaches, it refuses with words."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "cyberun_mcp", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("command", [(), ("http",), ("emulator",), ("demo",)])
def test_help_teaches_each_command(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.returncode == 0
    assert "Usage: cyberun-mcp" in result.stdout
    assert result.stderr == ""


def test_the_version_is_told() -> None:
    assert run("--version").stdout.startswith("cyberun-mcp, version 0.")


def test_an_option_before_its_command_is_refused_with_the_right_order() -> None:
    result = run("--log-level", "debug", "http")
    assert result.returncode == 2
    assert "put it after the command: cyberun-mcp http --log-level" in " ".join(result.stderr.split())


def test_an_option_its_command_does_not_have_is_refused_without_sending_the_user_round_in_circles() -> None:
    result = run("--log-level", "debug", "demo")
    assert result.returncode == 2
    assert "leave it out" in result.stderr


@pytest.mark.parametrize("command", ["http", "emulator"])
def test_a_taken_port_is_told_in_one_line(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run(command, "--port", port)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert port in line


def test_a_data_folder_that_cannot_be_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    result = run("emulator", "--port", "0", "--data", str(tmp_path / "file" / "data"))
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert "file" in line
