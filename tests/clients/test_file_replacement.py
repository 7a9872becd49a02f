"""A client's file stays its owner's, whoever writes it, and one that is read-only stays as it is."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cyberun_mcp.clients.ai_client import AiClient
from cyberun_mcp.clients.config_file import ConfigFileError, remove_entry, write_entry
from cyberun_mcp.clients.machine import Machine
from cyberun_mcp.clients.render import ConnectionOptions
from cyberun_mcp.clients.table import BY_NAME

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
as_root = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give files away")

USER, GROUP, OTHER_GROUP = 12345, 23456, 34567
CLIENTS = [BY_NAME[name] for name in ("codex", "cursor", "vscode")]  # TOML, JSON, JSON with comments
TEXT = {"toml": "# theirs\n[a]\nb = 1\n", "json": '{"a": 1}\n', "jsonc": '{\n  // theirs\n  "a": 1\n}\n'}
EMULATOR = ConnectionOptions(emulator=True)


@dataclass(frozen=True)
class Owned:
    owner: tuple[int, int]
    mode: int


def owned(path: Path) -> Owned:
    found = path.lstat()
    return Owned((found.st_uid, found.st_gid), stat.S_IMODE(found.st_mode))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A user's home, which is the user's where the tests may give it away."""
    home = tmp_path / "home"
    home.mkdir()
    if os.geteuid() == 0:
        os.chown(home, USER, GROUP)
    return Machine(home=home, platform="linux", environ={"CYBERUN_API_KEY": "sk-canary0123456789abcdef", "PATH": ""})


def file_of(client: AiClient, machine: Machine) -> Path:
    file = machine.config_file(client)
    assert file is not None
    return file


def existing(client: AiClient, machine: Machine, mode: int) -> Path:
    """The client's file, with what it says in its notation."""
    file = file_of(client, machine)
    file.parent.mkdir(parents=True)
    file.write_text(TEXT[client.format], encoding="utf-8")
    file.chmod(mode)
    return file


def copies_of(file: Path) -> list[Path]:
    return list(file.parent.glob(f"{file.name}.*.bak"))


@as_root
@pytest.mark.parametrize("mode", [0o640, 0o600, 0o664])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: str(client.name))
def test_what_root_writes_stays_the_users_and_so_does_the_copy(client: AiClient, machine: Machine, mode: int) -> None:
    file = existing(client, machine, mode)
    os.chown(file, USER, OTHER_GROUP)
    before = file.read_bytes()
    assert write_entry(client, EMULATOR, machine).changed
    assert remove_entry(client, machine).changed
    assert owned(file) == Owned((USER, OTHER_GROUP), mode)
    assert len(copies_of(file)) == 2
    assert {owned(copy) for copy in copies_of(file)} == {Owned((USER, OTHER_GROUP), mode)}
    assert before in [copy.read_bytes() for copy in copies_of(file)]


@as_root
def test_a_file_that_is_linked_to_stays_its_owners_and_the_link_too(machine: Machine, tmp_path: Path) -> None:
    client = BY_NAME["codex"]
    file = existing(client, machine, 0o640)
    real = file.rename(tmp_path / "dotfiles.toml")
    os.chown(real, USER, OTHER_GROUP)
    file.symlink_to(real)
    os.chown(file, USER, GROUP, follow_symlinks=False)
    assert write_entry(client, EMULATOR, machine).changed
    assert file.is_symlink()
    assert owned(file).owner == (USER, GROUP)
    assert owned(real) == Owned((USER, OTHER_GROUP), 0o640)
    assert [owned(copy).owner for copy in copies_of(real)] == [(USER, OTHER_GROUP)]


@as_root
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: str(client.name))
def test_a_file_that_root_makes_in_a_users_home_is_the_users_with_every_folder(
    client: AiClient, machine: Machine
) -> None:
    write_entry(client, EMULATOR, machine)
    file = file_of(client, machine)
    assert owned(file) == Owned((USER, GROUP), 0o600)
    made = [each for each in file.parents if each.is_relative_to(machine.home) and each != machine.home]
    assert {owned(folder).owner for folder in made} == {(USER, GROUP)}


@as_root
def test_a_key_is_written_for_the_owner_alone_also_by_root(machine: Machine) -> None:
    client = BY_NAME["claude-desktop"]
    file = existing(client, machine, 0o644)
    os.chown(file, USER, GROUP)
    assert write_entry(client, ConnectionOptions(), machine).contains_key
    assert owned(file) == Owned((USER, GROUP), 0o600)


@as_root
def test_a_link_laid_where_the_copy_goes_is_not_followed(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = BY_NAME["codex"]
    file = existing(client, machine, 0o644)
    victim = tmp_path / "victim"

    class Frozen:
        """A clock by which the name of the copy is known beforehand."""

        @staticmethod
        def now(_: object) -> "Frozen":
            return Frozen()

        def strftime(self, _: str) -> str:
            return "20260101-000000"

    monkeypatch.setattr("cyberun_mcp.clients.file_replacement.datetime", Frozen)
    (file.parent / f"{file.name}.20260101-000000.bak").symlink_to(victim)
    done = write_entry(client, EMULATOR, machine)
    assert not victim.exists()
    assert done.backup == file.parent / f"{file.name}.20260101-000000-1.bak"


@pytest.mark.parametrize("mode", [0o444, 0o400, 0o464])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: str(client.name))
def test_a_read_only_file_is_refused_with_the_fix_which_helps(client: AiClient, machine: Machine, mode: int) -> None:
    file = existing(client, machine, mode)
    before = file.read_bytes()
    with pytest.raises(ConfigFileError, match=f"{file} is read-only") as refused:
        write_entry(client, EMULATOR, machine)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
    fix = str(refused.value).partition(": ")[2]
    assert fix == f"chmod u+w {file}"
    assert os.system(fix) == 0  # noqa: S605 - what a user would do
    assert write_entry(client, EMULATOR, machine).changed
    file.chmod(mode)
    with pytest.raises(ConfigFileError, match=r"chmod u\+w"):
        remove_entry(client, machine)


def test_a_read_only_file_that_already_says_so_needs_no_writing(machine: Machine) -> None:
    client = BY_NAME["cursor"]
    write_entry(client, EMULATOR, machine)
    file_of(client, machine).chmod(0o444)
    assert not write_entry(client, EMULATOR, machine).changed


def test_a_read_only_file_behind_a_link_is_refused_by_its_own_name(machine: Machine, tmp_path: Path) -> None:
    client = BY_NAME["cursor"]
    file = existing(client, machine, 0o644)
    real = file.rename(tmp_path / "dot files.json")
    real.chmod(0o444)
    file.symlink_to(real)
    with pytest.raises(ConfigFileError, match=r"chmod u\+w '.*/dot files.json'"):
        write_entry(client, EMULATOR, machine)


def test_a_file_that_may_not_be_given_back_to_its_owner_is_left_alone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    client = BY_NAME["codex"]
    file = existing(client, machine, 0o664)
    before = file.read_bytes()
    found = file.stat()
    theirs = os.stat_result((*found[:4], USER, GROUP, *found[6:]))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: theirs)
    monkeypatch.setattr(os, "fchown", refuse)  # as for everybody but root
    with pytest.raises(ConfigFileError, match=f"{file} belongs to another user or group"):
        write_entry(client, EMULATOR, machine)
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: str(client.name))
def test_what_is_no_regular_file_is_left_alone(client: AiClient, machine: Machine, tmp_path: Path) -> None:
    file = file_of(client, machine)
    file.parent.mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    file.symlink_to(tmp_path / "pipe")
    with pytest.raises(ConfigFileError, match="is not a regular file"):
        write_entry(client, EMULATOR, machine)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
