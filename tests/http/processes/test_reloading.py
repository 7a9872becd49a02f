"""SIGHUP reads the client tokens again, and an unusable file changes nothing; workers that die are replaced."""

import codecs
import contextlib
import hashlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cyberun_mcp.errors import ConfigurationError
from cyberun_mcp.http import serve as serve_module
from cyberun_mcp.http.client_tokens import LARGEST_FILE, ClientTokens
from cyberun_mcp.http.serve import listen
from cyberun_mcp.http.workers import FAILED_STARTS
from tests.http.processes.calls import KEY, request
from tests.http.processes.conftest import PatientPlatform
from tests.http.processes.process import Endpoint, endpoint, until
from tests.http.processes.test_ending import workers_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")


def line(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest() + "\n"


def holding(data: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(data)


def linked_to_itself(file: Path) -> None:
    file.symlink_to(file)


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "UTF-16 without its mark": holding(line("beta").encode("utf-16-le")),
    "UTF-16 torn in a character": holding(codecs.BOM_UTF16_LE + line("beta").encode("utf-16-le")[:-1]),
    "UTF-32": holding(line("beta").encode("utf-32")),
    "Latin-1": holding((line("beta").strip() + " Büro\n").encode("latin-1")),
    "binary": holding(bytes(range(256))),
    "zeros": holding(bytes(64)),
    "a folder": Path.mkdir,
    "a pipe nobody writes to": os.mkfifo if sys.platform != "win32" else Path.touch,
    "missing": lambda _: None,
    "unreadable": linked_to_itself,
    "huge": holding(line("beta").encode() * (LARGEST_FILE // 65 + 1)),
    "empty": Path.touch,
    "half a line": holding(line("beta")[:40].encode()),
}
USABLE = {
    "UTF-8 with its mark": codecs.BOM_UTF8 + line("beta").encode(),
    "UTF-16 with its mark": line("beta").encode("utf-16"),
    "UTF-16 with its mark, the other way round": codecs.BOM_UTF16_BE + line("beta").encode("utf-16-be"),
    "Windows' line ends": line("beta").replace("\n", "\r\n").encode(),
}


def put(content: Callable[[Path], object], file: Path) -> None:
    """`content` where `file` was, whatever that was."""
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    content(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tokens = tmp_path / "tokens"
    tokens.write_text(line("alpha"), encoding="utf-8")
    return tokens


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_file_that_cannot_be_used_leaves_the_tokens_in_force_and_is_refused_at_the_start(
    file: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = ClientTokens(file)
    in_force = tokens.hashes()
    put(UNUSABLE[kind], file)
    assert not tokens.reload()
    assert tokens.hashes() == in_force
    [record] = caplog.records
    assert f"the client tokens stay as they were: {file}" in record.getMessage()
    with pytest.raises(ConfigurationError):
        ClientTokens(file)


@pytest.mark.parametrize("kind", USABLE)
def test_the_encodings_that_say_what_they_are_can_be_used(
    file: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tokens = ClientTokens(file)
    file.write_bytes(USABLE[kind])
    assert tokens.reload()
    assert tokens.hashes() == [bytes.fromhex(line("beta"))]
    assert "1 client tokens in force" in caplog.text


def test_a_file_that_may_not_be_read_leaves_the_tokens_in_force(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    tokens = ClientTokens(file)
    monkeypatch.setattr(Path, "open", refuse)  # root may read everything, so a mode would not do
    assert not tokens.reload()


def with_tokens(
    cyberun: PatientPlatform, file: Path, workers: int, pythonpath: str = ""
) -> AbstractContextManager[Endpoint]:
    """An endpoint that lets the clients of `file` in."""
    flags = ("--own-key", "--client-tokens", str(file), "--workers", str(workers))
    return endpoint(cyberun.base_url, *flags, CYBERUN_API_KEY=KEY, PYTHONPATH=pythonpath)


async def statuses(ours: Endpoint, *tokens: str) -> list[int]:
    """What each token is answered, over a connection of its own."""
    async with ours.client(headers={"Connection": "close"}) as client:
        answers = [await client.post("/mcp", **request("auto", "list_agents", key=token)) for token in tokens]
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_endpoint_survives_every_unusable_file_with_its_tokens(
    cyberun: PatientPlatform, file: Path, workers: int
) -> None:
    with with_tokens(cyberun, file, workers) as ours:
        workers_at_first = workers_of(ours)
        for refused, content in enumerate(UNUSABLE.values(), 1):
            put(content, file)
            ours.signal(signal.SIGHUP)
            await until(lambda wanted=refused: ours.log.count("stay as they were") == wanted)  # type: ignore[misc]
            assert await statuses(ours, "alpha", "beta") == [200, 401]
        assert workers_of(ours) == workers_at_first
        put(holding(USABLE["UTF-16 with its mark"]), file)
        ours.signal(signal.SIGHUP)
        await until(lambda: ours.log.count("1 client tokens in force") == max(1, len(workers_at_first) + 1))
        assert await statuses(ours, *["alpha", "beta"] * 4) == [401, 200] * 4
        assert "has died" not in ours.log
        ours.signal(signal.SIGTERM)
        assert ours.ended() == 0
        assert "Traceback" not in ours.log


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_worker_started_later_has_the_tokens_in_force_though_the_file_is_unusable(
    cyberun: PatientPlatform, file: Path
) -> None:
    with with_tokens(cyberun, file, 2) as ours:
        await until(lambda: serving(ours) == 2)
        put(holding(line("beta").encode()), file)
        ours.signal(signal.SIGHUP)
        await until(lambda: ours.log.count("1 client tokens in force") == 3)
        put(UNUSABLE["Latin-1"], file)
        first = workers_of(ours)
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: serving(ours) == 4)
        assert await statuses(ours, *["alpha", "beta"] * 4) == [401, 200] * 4
        assert len([pid for pid in first if f"worker {pid} has died" in ours.log]) == 2
        assert ours.log.count("has died") == 2


# A worker stands still at its start while the folder has a `hold`, and dies there, the `dies`-th kind of death.
SITECUSTOMIZE = """
import os, signal, sys, time
from pathlib import Path
folder = Path(__file__).parent
if any("spawn_main" in each for each in sys.orig_argv):
    with (folder / "starts").open("a") as starts:
        starts.write("x")
    while (folder / "hold").exists():
        time.sleep(0.02)
    if (folder / "dies").exists():
        exec((folder / "dies").read_text())
"""
DEATHS = {
    "a status": ("os._exit(7)", "status 7"),
    "a signal": ("os.kill(os.getpid(), signal.SIGKILL)", "status -9"),
    "an import that fails": ("sys.modules['cyberun_mcp.http.app'] = None", "status 1"),
    "a reason": (
        "import uvicorn\nclass C:\n def __init__(self, *_, **__): raise RuntimeError('no room for sk-canary0123456789')"
        "\nuvicorn.Config = C",
        "RuntimeError: no room for sk-…",
    ),
}


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    return folder


def serving(ours: Endpoint) -> int:
    """How many workers have begun to serve."""
    return ours.log.count(" serves\n")


def starts(trap: Path) -> int:
    return len((trap / "starts").read_text(encoding="utf-8"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", DEATHS)
async def test_workers_that_die_before_they_serve_again_and_again_end_the_command_with_the_reason(
    cyberun: PatientPlatform, trap: Path, kind: str
) -> None:
    code, words = DEATHS[kind]
    with endpoint(cyberun.base_url, "--workers", "2", PYTHONPATH=str(trap)) as ours:
        await until(lambda: serving(ours) == 2)
        (trap / "dies").write_text(code, encoding="utf-8")
        before = starts(trap)
        victim = min(workers_of(ours))
        os.kill(victim, signal.SIGKILL)
        assert ours.ended(within=60) == 1
        assert starts(trap) - before == FAILED_STARTS
        last = ours.log.splitlines()[-1]
        assert "has died" in last
        assert words in last
        assert last.endswith("none of which served: ending")
        assert "sk-canary" not in ours.log


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_worker_that_served_is_replaced_however_often_it_dies(cyberun: PatientPlatform) -> None:
    with endpoint(cyberun.base_url, "--workers", "2") as ours:
        for deaths in range(FAILED_STARTS + 2):
            await until(lambda wanted=deaths + 2: serving(ours) == wanted)  # type: ignore[misc]
            os.kill(max(workers_of(ours)), signal.SIGKILL)
        await until(lambda: serving(ours) == deaths + 3)
        ours.signal(signal.SIGTERM)
        assert ours.ended() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_sighup_reaches_a_worker_that_was_starting_meanwhile(
    cyberun: PatientPlatform, file: Path, trap: Path
) -> None:
    with with_tokens(cyberun, file, 2, str(trap)) as ours:
        await until(lambda: serving(ours) == 2)
        (trap / "hold").touch()
        before = starts(trap)
        first = workers_of(ours)
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: starts(trap) == before + 2)
        put(holding(line("beta").encode()), file)
        for reloads in range(1, FAILED_STARTS + 2):
            ours.signal(signal.SIGHUP)
            await until(lambda wanted=reloads: ours.log.count("1 client tokens in force") == wanted)  # type: ignore[misc]
        (trap / "hold").unlink()
        await until(lambda: ours.log.count("1 client tokens in force") == reloads + 2)
        assert await statuses(ours, *["alpha", "beta"] * 4) == [401, 200] * 4
        assert ours.log.count("has died") == 2


async def test_sighup_before_the_endpoint_serves_does_not_end_it(cyberun: PatientPlatform) -> None:
    with endpoint(cyberun.base_url) as ours:
        for _ in range(20):
            ours.signal(signal.SIGHUP)
        assert await statuses(ours, "sk-canary0123456789abcdef") == [200]


def test_a_worker_that_starts_does_not_make_the_others_block_in_accept() -> None:
    with (
        contextlib.closing(listen("127.0.0.1", 0)) as listener,
        socket.socket(fileno=os.dup(listener.fileno())) as copy,
    ):
        assert copy.gettimeout() is None  # what a copy believes, whatever the socket is like
        for handle in serve_module._listeners(copy, 4)[1:]:
            handle.close()
        assert not os.get_blocking(listener.fileno())
