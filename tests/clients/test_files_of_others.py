"""`cyberun-mcp config --write` leaves a file with its owner, and a read-only file alone."""

import os
import sys
from pathlib import Path

import pytest

from cyberun_mcp.clients.configure import Refused, remove, write
from cyberun_mcp.clients.description import Client
from cyberun_mcp.clients.paths import Machine
from cyberun_mcp.clients.render import Connection
from cyberun_mcp.clients.table import BY_NAME

USER, GROUP = 12345, 23456
JSON, TOML = BY_NAME["cursor"], BY_NAME["codex"]

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
by_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can write the files of others"
)
both_formats = pytest.mark.parametrize("client", [JSON, TOML], ids=lambda client: str(client.name))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(home=tmp_path, platform="linux", environ={"CYBERUN_API_KEY": "sk-canary0123456789", "PATH": ""})


def file_of(client: Client, machine: Machine) -> Path:
    file = machine.file_of(client)
    assert file is not None
    return file


def existing_file(client: Client, machine: Machine, mode: int = 0o640) -> Path:
    """The client's file, with nothing in it that is ours."""
    file = file_of(client, machine)
    file.parent.mkdir(parents=True)
    file.write_text("" if client is TOML else "{}\n", encoding="utf-8")
    file.chmod(mode)
    return file


def owner_of(file: Path) -> tuple[int, int]:
    return file.stat().st_uid, file.stat().st_gid


@by_root
@both_formats
def test_a_users_file_and_its_copy_stay_the_users_when_root_writes(client: Client, machine: Machine) -> None:
    file = existing_file(client, machine)
    os.chown(file, USER, GROUP)
    done = write(client, Connection(), machine)
    assert done.copy is not None
    assert owner_of(file) == owner_of(done.copy) == (USER, GROUP)
    assert file.stat().st_mode & 0o777 == done.copy.stat().st_mode & 0o777 == 0o640
    assert remove(client, machine).changed
    assert owner_of(file) == (USER, GROUP)


@by_root
def test_a_file_behind_a_link_stays_the_users_too(machine: Machine, tmp_path: Path) -> None:
    linked = tmp_path / "dotfiles.json"
    linked.write_text("{}\n", encoding="utf-8")
    os.chown(linked, USER, GROUP)
    file = file_of(JSON, machine)
    file.parent.mkdir(parents=True)
    file.symlink_to(linked)
    write(JSON, Connection(), machine)
    assert file.is_symlink()
    assert owner_of(linked) == (USER, GROUP)


@by_root
@both_formats
def test_what_root_creates_in_a_users_home_is_the_users(client: Client, machine: Machine, tmp_path: Path) -> None:
    os.chown(tmp_path, USER, GROUP)
    write(client, Connection(), machine)
    file = file_of(client, machine)
    assert owner_of(file) == owner_of(file.parent) == (USER, GROUP)


@posix
@both_formats
def test_a_read_only_file_is_refused_with_the_fix(client: Client, machine: Machine) -> None:
    file = existing_file(client, machine, mode=0o444)
    before = file.read_bytes()
    with pytest.raises(Refused, match=r"chmod u\+w"):
        write(client, Connection(), machine)
    assert file.read_bytes() == before
    assert not list(file.parent.glob("*.bak"))


@posix
@both_formats
def test_an_entry_is_not_removed_from_a_read_only_file(client: Client, machine: Machine) -> None:
    write(client, Connection(), machine)
    file = file_of(client, machine)
    file.chmod(0o444)
    before = file.read_bytes()
    with pytest.raises(Refused, match=r"chmod u\+w"):
        remove(client, machine)
    assert file.read_bytes() == before
