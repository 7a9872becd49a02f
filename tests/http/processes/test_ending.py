"""SIGTERM: what runs may finish, what comes is sent elsewhere, and the end is an orderly one."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.faults.exchange import Exchange
from tests.faults.platform import Subject
from tests.http.processes.calls import call, messages_of, request
from tests.http.processes.conftest import PatientPlatform, both_parsers
from tests.http.processes.process import Endpoint, endpoint
from tests.waiting import GUARD, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to handle")


async def waiting(platform: PatientPlatform, task: str) -> None:
    """Until the endpoint listens to the events of a task."""
    await until(lambda: bool(platform.seen(task, "events")))


async def red(client: httpx2.AsyncClient) -> httpx2.Response:
    """The first answer of `/readyz` that is not 200."""
    with anyio.fail_after(GUARD):
        while True:
            answer = await client.get("/readyz")
            if not answer.is_success:
                return answer
            await anyio.sleep(0.02)


@both_parsers
async def test_running_waits_finish_new_calls_get_503_and_the_exit_is_clean(cyberun: PatientPlatform, era: str) -> None:
    results = []

    async def wait() -> None:
        arguments = {"task_id": f"slow.{era}", "timeout_seconds": 600}
        results.append(await call(client, era, "stream_task_events", arguments, progressToken="t"))

    with endpoint(cyberun.base_url) as ours:
        async with ours.client() as client, anyio.create_task_group() as tasks:
            assert (await client.get("/readyz")).text == "ready\n"
            tasks.start_soon(wait)
            await waiting(cyberun, f"slow.{era}")
            ours.signal(signal.SIGTERM)
            not_ready = await red(client)
            assert not_ready.status_code == 503
            assert "draining, 1 calls" in not_ready.text
            assert (await client.get("/livez")).is_success
            refused = await client.post("/mcp", **request(era, "list_workflows"))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "send it again" in messages_of(refused)[-1]["error"]["message"]
            cyberun.release()
        assert ours.ended() == 0
        assert "Traceback" not in ours.log
    assert results[0]["structuredContent"]["task_status"] == "completed"


@both_parsers
async def test_what_outlives_the_drain_is_told_so_and_the_exit_is_clean_all_the_same(
    cyberun: PatientPlatform, era: str
) -> None:
    async def lose() -> None:
        arguments = {"task_id": f"slow.{era}", "timeout_seconds": 600}
        wait = request(era, "stream_task_events", arguments, progressToken="t")
        reply = messages_of(await client.post("/mcp", **wait))[-1]
        assert "had to end before the call did" in reply["error"]["message"]

    with endpoint(cyberun.base_url, "--drain-seconds", "0.3") as ours:
        async with ours.client() as client, anyio.create_task_group() as tasks:
            tasks.start_soon(lose)
            await waiting(cyberun, f"slow.{era}")
            ours.signal(signal.SIGTERM)
        assert ours.ended() == 0
        assert "Traceback" not in ours.log


@both_parsers
async def test_a_second_signal_does_not_wait_for_anyone(cyberun: PatientPlatform) -> None:
    async def be_left() -> None:
        arguments = {"task_id": "slow.two", "timeout_seconds": 600}
        wait = request("auto", "stream_task_events", arguments, progressToken="t")
        with suppress(httpx2.TransportError):  # nobody sees to it any more
            await client.post("/mcp", **wait)

    with endpoint(cyberun.base_url, "--drain-seconds", "600") as ours:
        async with ours.client() as client, anyio.create_task_group() as tasks:
            tasks.start_soon(be_left)
            await waiting(cyberun, "slow.two")
            ours.signal(signal.SIGINT)
            await red(client)
            ours.signal(signal.SIGINT)
        assert ours.ended() == 0


async def never_answered(exchange: Exchange, _: Subject) -> None:
    await exchange.stall()


@pytest.mark.parametrize("how", ["the caller hangs up", "the drain is over"])
async def test_a_sent_run_that_is_cut_stands_in_the_log_with_its_workflow(
    cyberun: PatientPlatform, era: str, how: str
) -> None:
    async def run() -> None:
        paid = request(era, "run_workflow_by_slug", {"workflow_slug": "lost.fox", "body": {}}, progressToken="t")
        reply = messages_of(await client.post("/mcp", **paid))[-1]
        assert "It may have been carried out" in reply["error"]["message"]

    cyberun.scripts["lost", "run"] = never_answered
    with endpoint(cyberun.base_url, "--drain-seconds", "0.3") as ours:
        async with ours.client() as client, anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await until(lambda: bool(cyberun.seen("lost.fox", "run")))
            if how == "the caller hangs up":
                tasks.cancel_scope.cancel()
            else:
                ours.signal(signal.SIGTERM)
        await until(lambda: "workflow=lost.fox: the run was sent, but whether it was accepted is unknown" in ours.log)


def workers_of(ours: Endpoint) -> set[int]:
    """The processes that serve."""
    first = ours.process.pid
    children = Path(f"/proc/{first}/task/{first}/children").read_text(encoding="ascii").split()
    return {int(pid) for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_workers_are_replaced_counted_together_and_end_together(cyberun: PatientPlatform, era: str) -> None:
    with endpoint(cyberun.base_url, "--workers", "2") as ours:
        first = workers_of(ours)
        assert len(first) == 2
        async with ours.client(headers={"Connection": "close"}) as client:
            for _ in range(20):
                assert not (await call(client, era, "list_workflows")).get("isError")
            numbers = (await client.get("/metrics")).text
            assert 'cyberun_mcp_calls_total{outcome="ok",tool="list_workflows"} 20.0' in numbers

            victim = min(first)
            os.kill(victim, signal.SIGKILL)
            await until(lambda: len(workers_of(ours) - {victim}) == 2)
            assert not (await call(client, era, "list_workflows")).get("isError")
            assert 'tool="list_workflows"} 21.0' in (await client.get("/metrics")).text
        assert f"worker {victim} has died" in ours.log

        last = workers_of(ours)
        ours.signal(signal.SIGTERM)
        assert ours.ended() == 0
        assert not [pid for pid in last if alive(pid)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_workers_do_not_outlive_a_first_process_that_was_killed(cyberun: PatientPlatform) -> None:
    with endpoint(cyberun.base_url, "--workers", "2") as ours:
        workers = workers_of(ours)
        ours.signal(signal.SIGKILL)
        ours.ended()
        await until(lambda: not [pid for pid in workers if alive(pid)])
