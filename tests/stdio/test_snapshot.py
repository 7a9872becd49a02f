"""The prepared answers: those of the package, and those in the user's cache folder for other versions of the SDK."""

import json
import os
import sys
from binascii import crc32
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
import platformdirs
import pytest

from cyberun_mcp import __version__
from cyberun_mcp.stdio import snapshot, snapshot_writer
from cyberun_mcp.stdio.snapshot import (
    PACKAGED,
    Answers,
    cache_folder,
    cached_path,
    made_with,
    read_cached,
    read_snapshot,
)
from cyberun_mcp.stdio.snapshot_writer import build_snapshot, renew_snapshot

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fast start")


def test_the_snapshot_is_what_the_live_server_answers() -> None:
    text = json.dumps(anyio.run(build_snapshot), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        Path(PACKAGED).write_text(text, encoding="utf-8")
    if read_snapshot() is None:
        pytest.skip("the snapshot was made with another version of the SDK")
    assert Path(PACKAGED).read_text(encoding="utf-8") == text


def test_a_snapshot_names_the_installed_versions() -> None:
    assert made_with() == {
        "cyberun-mcp": __version__,
        "with": [f"{name}-{version(name)}" for name in ("mcp", "mcp_types")],
    }


def test_a_snapshot_is_used_only_with_the_versions_that_made_it(tmp_path: Path) -> None:
    made = json.loads(Path(PACKAGED).read_text(encoding="utf-8"))
    file = tmp_path / "snapshot.json"

    def read(**changed: Any) -> Answers | None:
        file.write_text(json.dumps({**made, **made_with(), **changed}), encoding="utf-8")
        return read_snapshot(str(file))

    assert read() == made["answers"]
    assert read(**{"cyberun-mcp": "0.0.1"}) is None
    assert read(**{"with": ["mcp-0.0.1", made["with"][1]]}) is None
    for text in ('{"half": ', "[]", "null", "{}"):
        file.write_text(text, encoding="utf-8")
        assert read_snapshot(str(file)) is None
    assert read_snapshot(str(tmp_path / "missing.json")) is None


def test_a_package_is_looked_for_where_python_would_import_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = f"mcp-{version('mcp')}"
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "mcp").mkdir()
    (tmp_path / "mcp-9.9.dist-info").mkdir()
    assert made_with()["with"][0] == installed
    (tmp_path / "mcp" / "__init__.py").touch()
    assert made_with()["with"][0] == "mcp-9.9"
    (tmp_path / "mcp-9.8.dist-info").mkdir()
    assert made_with()["with"][0] == ""
    assert cached_path() is None


@pytest.mark.parametrize(
    "environ",
    [
        {"HOME": "/home/u"},
        {"HOME": "/home/u/"},
        {"HOME": "/"},
        {"HOME": "/home/u", "XDG_CACHE_HOME": ""},
        {"HOME": "/home/u", "XDG_CACHE_HOME": "/var/cache/u"},
        {"HOME": "relative", "XDG_CACHE_HOME": "/var/cache/u/"},
        {"XDG_CACHE_HOME": "/with a blank/u"},
    ],
)
def test_the_cache_folder_is_the_one_that_platformdirs_names(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    folder = cache_folder(environ, sys.platform)
    assert folder is not None
    assert Path(folder) == platformdirs.user_cache_path("cyberun-mcp", appauthor=False)


@pytest.mark.parametrize(
    "environ",
    [{}, {"HOME": ""}, {"HOME": "home"}, {"HOME": "/home/u", "XDG_CACHE_HOME": "x"}, {"XDG_CACHE_HOME": " /x"}],
)
def test_without_an_absolute_home_there_is_no_cache_folder(environ: dict[str, str]) -> None:
    assert cache_folder(environ, sys.platform) is None


def test_windows_has_no_fast_start_and_macos_its_own_folder() -> None:
    assert cache_folder({"HOME": "/Users/u"}, "win32") is None
    assert cache_folder({"HOME": "/Users/u"}, "darwin") == "/Users/u/Library/Caches/cyberun-mcp"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a start writes to the cache when the package has no answers; its folder is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(snapshot, "PACKAGED", str(tmp_path / "missing.json"))
    monkeypatch.setattr(snapshot.read_snapshot, "__defaults__", (str(tmp_path / "missing.json"),))
    path = cached_path()
    assert path
    return Path(path)


def test_missing_answers_are_written_for_us_alone(cached: Path) -> None:
    umask = os.umask(0)
    try:
        anyio.run(renew_snapshot, 0)
    finally:
        os.umask(umask)
    assert [file.name for file in cached.parent.iterdir()] == [cached.name]
    assert cached.stat().st_mode & 0o777 == 0o600
    assert cached.parent.stat().st_mode & 0o777 == 0o700
    assert snapshot.find_snapshot() == anyio.run(build_snapshot)["answers"]


def test_answers_that_are_there_are_left_alone(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anyio.run(renew_snapshot, 0)
    monkeypatch.setattr(snapshot_writer, "build_snapshot", None)
    before = cached.stat()
    anyio.run(renew_snapshot, 0)
    assert cached.stat() == before


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"Cyberun", b"Cyberum", 1))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def make_writable_for_all(file: Path) -> None:
    file.chmod(0o602)


def make_writable_for_the_group(file: Path) -> None:
    file.chmod(0o620)


def replace_by_symlink(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def replace_by_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def write_for_other_versions(file: Path) -> None:
    text = json.dumps({**made_with(), "with": ["mcp-1.0", "mcp_types-1.0"], "answers": {}}).encode()
    file.write_bytes(b"%08x\n" % crc32(text) + text)


SPOILED: list[Callable[[Path], None]] = [
    damage,
    cut,
    make_writable_for_all,
    make_writable_for_the_group,
    replace_by_symlink,
    replace_by_fifo,
    write_for_other_versions,
]


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_file_that_cannot_be_trusted_is_ignored_and_written_again(
    cached: Path, spoil: Callable[[Path], None]
) -> None:
    anyio.run(renew_snapshot, 0)
    spoil(cached)
    assert read_cached(str(cached)) is None
    anyio.run(renew_snapshot, 0)
    assert read_cached(str(cached)) is not None
    assert not cached.is_symlink()
    assert cached.stat().st_mode & 0o777 == 0o600


def test_a_file_of_another_user_is_ignored(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anyio.run(renew_snapshot, 0)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert read_cached(str(cached)) is None
    before = cached.stat()
    anyio.run(renew_snapshot, 0)
    assert cached.stat() == before


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_may_write_to_is_neither_read_nor_written(cached: Path, mode: int) -> None:
    anyio.run(renew_snapshot, 0)
    cached.parent.chmod(mode)
    assert read_cached(str(cached)) is None
    before = cached.stat()
    anyio.run(renew_snapshot, 0)
    assert cached.stat() == before


def test_without_a_home_nothing_is_written(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(snapshot_writer, "build_snapshot", None)
    anyio.run(renew_snapshot, 0)
    assert not cached.parent.exists()


def test_a_home_that_does_not_exist_is_not_made(cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    anyio.run(renew_snapshot, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_no_error(cached: Path) -> None:
    cached.parent.parent.write_text("a file where the folder should be", encoding="utf-8")
    anyio.run(renew_snapshot, 0)
    assert cached.parent.parent.is_file()
