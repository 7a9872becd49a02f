"""`cyberun-mcp config --write`: a client's own file, edited as its owner would."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cyberun_mcp.clients import file_replacement
from cyberun_mcp.clients.ai_client import AiClient
from cyberun_mcp.clients.config_file import ConfigFileError, read_entry, remove_entry, write_entry
from cyberun_mcp.clients.jsonc_parser import parse
from cyberun_mcp.clients.machine import Machine
from cyberun_mcp.clients.render import ConnectionOptions, server_entry
from cyberun_mcp.clients.table import BY_NAME, CLIENTS

KEY = "sk-canary0123456789abcdef"
CURSOR = BY_NAME["cursor"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions and needs a right for links")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(home=tmp_path, platform="linux", environ={"CYBERUN_API_KEY": KEY, "PATH": ""})


@pytest.fixture
def cursor_file(tmp_path: Path) -> Path:
    file = tmp_path / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text(
        '{\n    "mcpServers": {\n        "other": {"url": "http://127.0.0.1:1"}\n    }\n}\n', encoding="utf-8"
    )
    return file


WITH_FILES = [each for each in CLIENTS if each.config_file]


@pytest.mark.parametrize("client", WITH_FILES, ids=lambda client: str(client.name))
def test_every_client_is_connected_and_disconnected_in_its_own_file(client: AiClient, machine: Machine) -> None:
    done = write_entry(client, ConnectionOptions(), machine)
    assert done.changed
    assert done.file == machine.config_file(client)
    present = read_entry(client, machine.config_file(client))
    assert present == server_entry(client, ConnectionOptions(key=KEY if done.contains_key else "not written"))
    assert not write_entry(client, ConnectionOptions(), machine).changed
    assert remove_entry(client, machine).changed
    assert read_entry(client, machine.config_file(client)) is None
    assert not remove_entry(client, machine).changed


def test_the_rest_of_the_file_stays_and_a_copy_is_made(machine: Machine, cursor_file: Path) -> None:
    before = cursor_file.read_bytes()
    done = write_entry(CURSOR, ConnectionOptions(), machine)
    assert done.backup is not None
    assert done.backup.read_bytes() == before
    assert json.loads(cursor_file.read_text(encoding="utf-8"))["mcpServers"]["other"] == {"url": "http://127.0.0.1:1"}
    remove_entry(CURSOR, machine)
    assert cursor_file.read_bytes() == before


def test_nothing_to_do_makes_no_copy(machine: Machine, cursor_file: Path) -> None:
    write_entry(CURSOR, ConnectionOptions(), machine)
    present = sorted(cursor_file.parent.iterdir())
    assert not write_entry(CURSOR, ConnectionOptions(), machine).changed
    assert sorted(cursor_file.parent.iterdir()) == present


def test_copies_of_the_same_second_do_not_overwrite_each_other(machine: Machine, cursor_file: Path) -> None:
    copies = {
        write_entry(CURSOR, ConnectionOptions(kind="bridge", url=f"http://127.0.0.1:{port}"), machine).backup
        for port in (1, 2, 3)
    }
    assert len(copies) == 3


@pytest.mark.parametrize("text", ["{", "[]", '{"mcpServers": []}', '{"a": 1} // only jsonc', "\x00"])
def test_a_file_that_cannot_be_parsed_is_left_alone(machine: Machine, cursor_file: Path, text: str) -> None:
    cursor_file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigFileError, match="left alone"):
        write_entry(CURSOR, ConnectionOptions(), machine)
    assert cursor_file.read_text(encoding="utf-8") == text
    assert list(cursor_file.parent.iterdir()) == [cursor_file]


def test_a_file_in_another_encoding_is_left_alone(machine: Machine, cursor_file: Path) -> None:
    cursor_file.write_bytes('{"ä": 1}'.encode("latin-1"))
    with pytest.raises(ConfigFileError, match="not UTF-8"):
        write_entry(CURSOR, ConnectionOptions(), machine)


def test_comments_stay_where_the_format_has_them(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / ".config" / "Code" / "User" / "mcp.json"
    file.parent.mkdir(parents=True)
    file.write_text('{\n\t// mine\n\t"servers": {}, /* also mine */\n}\n', encoding="utf-8")
    write_entry(BY_NAME["vscode"], ConnectionOptions(), machine)
    text = file.read_text(encoding="utf-8")
    assert "// mine" in text
    assert "/* also mine */" in text
    assert parse(text)["servers"]["cyberun"]["type"] == "stdio"


def test_a_key_is_written_only_where_nothing_else_works_and_then_for_the_owner_alone(machine: Machine) -> None:
    for client in WITH_FILES:
        done = write_entry(client, ConnectionOptions(), machine)
        text = done.file.read_text(encoding="utf-8")
        assert (KEY in text) == done.contains_key
        if done.contains_key and sys.platform != "win32":
            assert stat.S_IMODE(done.file.stat().st_mode) == 0o600
    assert {each.name for each in WITH_FILES if KEY in machine_text(each, machine)} == {
        "claude-desktop",
        "cline",
        "junie",
    }


def machine_text(client: AiClient, machine: Machine) -> str:
    file = machine.config_file(client)
    assert file
    return file.read_text(encoding="utf-8")


def test_without_a_key_such_a_client_is_not_written(machine: Machine) -> None:
    nothing = Machine(home=machine.home, platform="linux", environ={})
    with pytest.raises(ConfigFileError, match="Set CYBERUN_API_KEY"):
        write_entry(BY_NAME["junie"], ConnectionOptions(), nothing)
    assert write_entry(BY_NAME["junie"], ConnectionOptions(emulator=True), nothing).changed


def test_a_client_without_a_file_says_where_to_paste(machine: Machine) -> None:
    with pytest.raises(ConfigFileError, match=r"Settings \| Tools \| AI Assistant"):
        write_entry(BY_NAME["jetbrains"], ConnectionOptions(), machine)


@posix
def test_links_and_permissions_of_the_file_stay(machine: Machine, cursor_file: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    cursor_file.rename(real)
    real.chmod(0o640)
    cursor_file.symlink_to(real)
    write_entry(CURSOR, ConnectionOptions(), machine)
    assert cursor_file.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert "cyberun" in real.read_text(encoding="utf-8")


def test_a_file_that_changes_meanwhile_is_not_overwritten(cursor_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cursor_file.read_text(encoding="utf-8")
    interfering = interfering_with(cursor_file, os.fsync)
    monkeypatch.setattr(os, "fsync", interfering)
    with pytest.raises(file_replacement.FileChanged, match="another program"):
        file_replacement.replace_file(cursor_file, before, "{}")
    assert cursor_file.read_text(encoding="utf-8") == "theirs"
    assert list(cursor_file.parent.iterdir()) == [cursor_file]


def interfering_with(file: Path, then: Callable[[int], None]) -> Callable[[int], None]:
    def write_theirs(handle: int) -> None:
        file.write_text("theirs", encoding="utf-8")
        then(handle)

    return write_theirs


@pytest.mark.parametrize(
    ("platform", "name", "place"),
    [
        ("linux", "claude-desktop", ".config/Claude/claude_desktop_config.json"),
        ("darwin", "claude-desktop", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("win32", "claude-desktop", "AppData/Roaming/Claude/claude_desktop_config.json"),
        ("darwin", "vscode", "Library/Application Support/Code/User/mcp.json"),
        ("darwin", "zed", ".config/zed/settings.json"),
        ("win32", "zed", "AppData/Roaming/Zed/settings.json"),
        ("win32", "codex", ".codex/config.toml"),
    ],
)
def test_files_are_where_each_system_keeps_them(platform: str, name: str, place: str, tmp_path: Path) -> None:
    assert Machine(tmp_path, platform, {}).config_file(BY_NAME[name]) == tmp_path / place


def test_the_name_of_the_file_that_exists_is_used(tmp_path: Path) -> None:
    other = tmp_path / ".config" / "opencode" / "opencode.jsonc"
    other.parent.mkdir(parents=True)
    other.write_text("{}", encoding="utf-8")
    assert Machine(tmp_path, "linux", {}).config_file(BY_NAME["opencode"]) == other


def config(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("CYBERUN_", "XDG_"))}
    return subprocess.run(
        [sys.executable, "-m", "cyberun_mcp", "config", *arguments],
        capture_output=True,
        text=True,
        env=environ | {"HOME": str(home), "USERPROFILE": str(home), "APPDATA": str(home / "AppData" / "Roaming")},
        timeout=60,
        check=False,
    )


def test_the_command_prints_writes_lists_and_removes(tmp_path: Path) -> None:
    printed = config(tmp_path, "cursor", "--emulator")
    wanted = json.loads(printed.stdout)["mcpServers"]["cyberun"]
    assert Path(wanted["command"]).is_absolute()
    assert wanted["args"][-1] == "--emulator"
    assert str(tmp_path / ".cursor" / "mcp.json") in printed.stderr
    assert config(tmp_path, "cursor", "--emulator", "--write").returncode == 0
    written = json.loads((tmp_path / ".cursor" / "mcp.json").read_text(encoding="utf-8"))
    assert written == json.loads(printed.stdout)
    [line] = [line for line in config(tmp_path, "--list").stdout.splitlines() if line.startswith("cursor")]
    assert "connected" in line
    assert config(tmp_path, "cursor", "--remove").returncode == 0
    assert json.loads((tmp_path / ".cursor" / "mcp.json").read_text(encoding="utf-8")) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a client"),
        (("nano",), "none of the clients we know: claude-code,"),
        (("cursor", "--http", "http://127.0.0.1:1/mcp", "--emulator"), "choose one"),
        (("cursor", "--write", "--remove"), "choose one"),
        (("cursor", "--http", "http://example.com/mcp"), "in clear"),
        (("junie", "--http", "https://example.com/mcp"), "--bridge https://example.com/mcp"),
        (("jetbrains", "--write"), "paste into"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    result = config(tmp_path, *arguments)
    assert result.returncode != 0
    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""
