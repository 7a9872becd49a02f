"""`cyberun-mcp demo` as a real process: the files it saves and the text it prints."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cyberun_mcp.tools import TOOLS
from tests.waiting import GUARD

COMMAND = [sys.executable, "-m", "cyberun_mcp", "demo", "--output"]
PRODUCED = {
    "sketch.png",
    "text-to-image/output_00001_.png",
    "img2img/output_00001_.png",
    "point-cloud/point_cloud.ply",
    *(f"contact-sheet/output_{number:05}_.png" for number in (1, 2, 3, 4)),
    "contact-sheet/sheet_00001_.png",
}


def environment() -> dict[str, str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CYBERUN_")}
    # The demo must neither use nor show the key and URL of the user.
    return variables | {"CYBERUN_API_KEY": "sk-the-users-own", "CYBERUN_BASE_URL": "https://nowhere.invalid/api/v1"}


def run(output: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, str(output), *arguments],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a folder with spaces") / "my pictures"


@pytest.fixture(scope="module")
def screen(output: Path) -> str:
    finished = run(output)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    return finished.stdout


def test_the_demo_saves_every_file(screen: str, output: Path) -> None:
    assert {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()} == PRODUCED


def test_the_pictures_are_pictures(screen: str, output: Path) -> None:
    for path in output.rglob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) >= 320


def test_the_point_cloud_has_as_many_points_as_its_header_says(screen: str, output: Path) -> None:
    header, _, points = (output / "point-cloud" / "point_cloud.ply").read_bytes().partition(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\n")
    count = int(header.partition(b"element vertex ")[2].split()[0])
    assert len(points) == count * 15  # three floats and three bytes each


def test_the_demo_calls_all_tools(screen: str) -> None:
    called = {line.split()[1] for line in screen.splitlines() if len(line.split()) > 1}
    assert {tool.name for tool in TOOLS} <= called


def test_the_demo_ends_with_paths_that_exist_and_what_to_type_next(screen: str) -> None:
    listed, _, commands = screen.partition("Files on disk\n")[2].partition("\n\nWhat to type next\n")
    paths = [Path(line.split(" kB  ")[1]) for line in listed.splitlines()]
    assert len(paths) == len(PRODUCED)
    assert all(path.is_file() for path in paths)
    for words in ("claude mcp add ", '{"mcpServers": ', " http --emulator"):
        assert words in commands
    [to_type] = re.findall(r"Any client, stdio +(.*)", commands)
    command, argument = shlex.split(to_type)
    assert shutil.which(command, path=os.environ["PATH"])
    assert argument == "--emulator"


def test_progress_was_received_while_a_task_ran(screen: str) -> None:
    updates = [int(count) for count in re.findall(r"completed after .*, (\d+) updates", screen)]
    assert len(updates) == 4
    assert all(count >= 2 for count in updates)


def test_a_cancelled_and_a_failed_task_are_shown(screen: str) -> None:
    assert "cancelled after" in screen
    assert "failed after" in screen
    assert "node 8 (VAEDecode) failed" in screen


def test_piped_output_is_plain_and_contains_no_key(screen: str) -> None:
    assert "\x1b" not in screen
    assert not re.search(r"\b[sd]k-\w", screen)
    assert "X-Amz-Signature" not in screen


def test_a_folder_that_cannot_be_created_is_a_message_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    finished = run(tmp_path / "file" / "pictures")
    assert finished.returncode == 1
    assert "The demo failed: " in finished.stdout
    assert "Traceback" not in finished.stdout + finished.stderr


def test_a_picture_that_cannot_be_saved_is_a_message_and_status_1(tmp_path: Path) -> None:
    finished = run(tmp_path / "pictures", "--picture", str(tmp_path / "no such folder" / "screen.svg"))
    assert finished.returncode == 1
    assert "The demo failed: " in finished.stdout
    assert "Traceback" not in finished.stdout + finished.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for other processes")
def test_an_interrupt_stops_the_demo_and_its_server(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, str(tmp_path / "pictures")],
        env=environment(),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        # A background job of a shell inherits an ignored SIGINT, which Python does not change.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "run_workflow_by_slug" in line)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(timeout=GUARD) == 130
    assert "Stopped." in rest
    assert "Traceback" not in rest


def test_closing_the_pipe_ends_the_demo_without_a_traceback(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, str(tmp_path / "pictures")], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        stderr = process.stderr.read()
        assert process.wait(timeout=30) == 1
    assert b"Traceback" not in stderr
