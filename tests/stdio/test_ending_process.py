"""How a real server on stdio ends: everything is answered that can be, and no paid run is lost without a word."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.faults.exchange import Exchange
from tests.faults.platform import FaultyPlatform, Subject, running
from tests.stdio.process import COMMAND, KEY, META, Pipe

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes and signals")

GUARD = 60  # seconds before a test says that a process hangs; nothing here is measured
ERAS = ["2025-11-25", "2026-07-28"]
UNKNOWN = "The run was sent, but whether it was accepted is unknown."


class Platform(FaultyPlatform):
    """`held` things are answered once the test releases them, `lost` runs are accepted and never answered."""

    def __init__(self) -> None:
        held = self._until_released
        super().__init__(
            {
                ("held", "run"): held,
                ("held", ""): held,
                ("lost", "run"): self._lose,
                ("watched", "events"): self._watched,
            }
        )
        self.released: set[str] = set()

    async def _until_released(self, exchange: Exchange, subject: Subject) -> None:
        while subject.id not in self.released:  # noqa: ASYNC110 - set by another thread
            await anyio.sleep(0.01)
        await self.as_documented(exchange, subject)

    async def _lose(self, exchange: Exchange, subject: Subject) -> None:
        self.accept_run(subject.id)
        await exchange.stall()

    async def _watched(self, exchange: Exchange, _: Subject) -> None:
        await exchange.open_events()
        await exchange.event("status", status="running")
        await exchange.stall()


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    platform = Platform()
    with running(platform):
        yield platform


def environment(base_url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CYBERUN_")}
    return kept | {"CYBERUN_API_KEY": KEY, "CYBERUN_BASE_URL": base_url}


def opening(era: str) -> list[dict[str, Any]]:
    if era >= "2026":
        return []
    introduction = {"clientInfo": {"name": "test", "version": "1"}, "capabilities": {}}
    return [
        {"id": 0, "method": "initialize", "params": {"protocolVersion": era, **introduction}},
        {"method": "notifications/initialized"},
    ]


def call(era: str, number: int, tool: str, **arguments: Any) -> dict[str, Any]:
    meta = {"_meta": META} if era >= "2026" else {}
    return {"id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments, **meta}}


def run(era: str, number: int, workflow: str) -> dict[str, Any]:
    return call(era, number, "run_workflow_by_slug", workflow_slug=workflow, body={})


def text(*messages: dict[str, Any]) -> str:
    return "".join(json.dumps({"jsonrpc": "2.0", **each}) + "\n" for each in messages)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def server(base_url: str, log: Path, era: str) -> Iterator[Pipe]:
    """A server that has been introduced to its client."""
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            env=environment(base_url),
        ) as process,
    ):
        hang = threading.Timer(GUARD, process.kill)
        hang.start()
        try:
            pipe = Pipe(process)
            pipe.send(*opening(era))
            yield pipe
        finally:
            hang.cancel()
            process.kill()


def answers(output: str) -> dict[int, dict[str, Any]]:
    messages = [json.loads(line) for line in output.splitlines()]
    return {each["id"]: each.get("result", each) for each in messages if "id" in each}


@pytest.mark.parametrize("stdout", ["pipe", "file"])
@pytest.mark.parametrize("era", ERAS)
def test_what_a_shell_pipes_in_is_answered(platform: Platform, era: str, stdout: str, tmp_path: Path) -> None:
    asked = text(
        *opening(era),
        call(era, 1, "list_workflows"),
        run(era, 2, f"plain.{era}-{stdout}"),
        call(era, 3, "stream_task_events", task_id=f"watched.{era}-{stdout}"),
    )
    with (tmp_path / "out").open("w+", encoding="utf-8") as out:
        finished = subprocess.run(
            COMMAND,
            input=asked,
            stdout=subprocess.PIPE if stdout == "pipe" else out,
            text=True,
            env=environment(platform.base_url),
            timeout=GUARD,
            check=True,
        )
        out.seek(0)
        said = answers(finished.stdout or out.read())
    assert said[1]["structuredContent"]["workflow_list"] == []
    assert said[2]["structuredContent"]["task_id"].endswith(f"plain.{era}-{stdout}")
    waited = said[3]["structuredContent"]
    assert (waited["task_status"], waited["terminal"]) == ("running", False)


@pytest.mark.parametrize("era", ERAS)
def test_at_the_end_of_input_waits_answer_first_and_calls_and_runs_when_they_can(
    platform: Platform, era: str, tmp_path: Path
) -> None:
    watched, held, paid = f"watched.eof-{era}", f"held.eof-{era}", f"held.eof-run-{era}"
    with server(platform.base_url, tmp_path / "log", era) as pipe:
        pipe.send(
            call(era, 1, "stream_task_events", task_id=watched),
            call(era, 2, "get_task", task_id=held),
            run(era, 3, paid),
        )
        until(lambda: all(map(platform.seen, (watched, held, paid))))
        pipe.stdin.close()
        waited = pipe.answer_to(1)["result"]["structuredContent"]
        assert (waited["terminal"], waited["timed_out"]) == (False, True)
        platform.released |= {held, paid}
        said = answers(pipe.stdout.read())
        assert pipe.process.wait(GUARD) == 0
    assert said[2]["structuredContent"]["id"] == held
    assert said[3]["structuredContent"]["task_id"].endswith(paid)


@pytest.mark.parametrize(("how", "status"), [("SIGTERM", 0), ("SIGINT", 130), ("SIGHUP", 129)])
@pytest.mark.parametrize("era", ERAS)
def test_at_a_signal_only_a_run_that_was_sent_is_waited_for(
    platform: Platform, era: str, how: str, status: int, tmp_path: Path
) -> None:
    held, paid = f"held.{how}-{era}", f"held.{how}-run-{era}"
    with server(platform.base_url, tmp_path / "log", era) as pipe:
        pipe.send(call(era, 1, "get_task", task_id=held), run(era, 2, paid))
        until(lambda: all(map(platform.seen, (held, paid))))
        pipe.process.send_signal(getattr(signal, how))
        assert pipe.answer_to(1)["error"]["message"] == "Connection closed"
        until(lambda: f"workflow={paid}: the run was sent, and this process waits" in (tmp_path / "log").read_text())
        platform.released.add(paid)
        assert pipe.answer_to(2)["result"]["structuredContent"]["task_id"].endswith(paid)
        assert pipe.process.wait(GUARD) == status
    platform.released.add(held)


@pytest.mark.parametrize("how", ["SIGTERM", "end of input"])
@pytest.mark.parametrize("era", ERAS)
def test_a_run_that_is_still_unanswered_is_reported_as_unknown(
    platform: Platform, era: str, how: str, tmp_path: Path
) -> None:
    paid = f"lost.{how}-{era}".replace(" ", "-")
    with server(platform.base_url, tmp_path / "log", era) as pipe:
        pipe.send(run(era, 1, paid))
        until(lambda: bool(platform.runs_of(paid)))
        pipe.stdin.close() if how == "end of input" else pipe.process.terminate()
        result = pipe.answer_to(1)["result"]
        assert pipe.process.wait(GUARD) == 0
    said = result["content"][0]["text"]
    assert result["isError"] is True
    assert f"the run of workflow {paid}" in said
    assert UNKNOWN in said
    assert (
        f"workflow={paid}: the run was sent, but whether it was accepted is unknown" in (tmp_path / "log").read_text()
    )
    assert len(platform.seen(paid, "run")) == 1


@pytest.mark.parametrize("fate", ["held", "lost"])
@pytest.mark.parametrize("era", ERAS)
def test_when_the_client_is_dead_the_log_has_the_run(platform: Platform, era: str, fate: str, tmp_path: Path) -> None:
    paid = f"{fate}.dead-{era}"
    with server(platform.base_url, tmp_path / "log", era) as pipe:
        pipe.send(run(era, 1, paid))
        until(lambda: bool(platform.seen(paid, "run")))
        pipe.stdout.close()
        pipe.stdin.close()
        platform.released.add(paid)
        assert pipe.process.wait(GUARD) == 0
    log = (tmp_path / "log").read_text()
    if fate == "held":
        [task] = platform.runs_of(paid)
        assert f"workflow={paid} task={task['id']}" in log
    else:
        assert f"workflow={paid}: the run was sent, but whether it was accepted is unknown" in log


@pytest.mark.parametrize("era", ERAS)
def test_a_client_that_dies_while_another_process_holds_our_input_is_noticed_when_it_is_answered(
    platform: Platform, era: str, tmp_path: Path
) -> None:
    paid, other = f"lost.half-dead-{era}", f"held.half-dead-{era}"
    with server(platform.base_url, tmp_path / "log", era) as pipe:
        pipe.send(run(era, 1, paid), call(era, 2, "get_task", task_id=other))
        until(lambda: bool(platform.runs_of(paid)) and bool(platform.seen(other)))
        pipe.stdout.close()
        platform.released.add(other)  # whose answer nobody reads
        assert pipe.process.wait(GUARD) == 0
    assert f"workflow={paid}: the run was sent, but whether" in (tmp_path / "log").read_text()


def test_a_run_that_has_not_been_sent_is_not_reported(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,  # which never answers the TLS handshake
        server(f"https://127.0.0.1:{silent.getsockname()[1]}/api/v1", tmp_path / "log", ERAS[0]) as pipe,
    ):
        pipe.send(run(ERAS[0], 1, "fox"))
        silent.settimeout(GUARD)
        connection, _ = silent.accept()
        with connection:
            pipe.process.terminate()
            assert pipe.answer_to(1)["error"]["message"] == "Connection closed"
            assert pipe.process.wait(GUARD) == 0
    assert "unknown" not in (tmp_path / "log").read_text()
