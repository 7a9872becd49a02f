"""What a process remembers of the tasks it has submitted: for an hour, up to a limit, per caller."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from cyberun_mcp.api import submitted_tasks
from cyberun_mcp.api.client import Platform
from cyberun_mcp.api.credentials import Credential
from cyberun_mcp.api.submitted_tasks import SubmittedTasks
from cyberun_mcp.settings import Settings
from tests.fake_platform import BASE_URL, FakePlatform
from tests.properties.virtual_clock import run_at_once

ALICE, BOB = Credential("sk-alice-12345678"), Credential("sk-bob-12345678")
JWT_OF_ONE_TEAM, JWT_OF_ANOTHER = Credential("eyJ.a.b", "team-1"), Credential("eyJ.a.b", "team-2")


def run(program: Callable[[], Awaitable[None]]) -> None:
    run_at_once(program)


def test_a_caller_sees_only_its_own_tasks() -> None:
    async def program() -> None:
        tasks = SubmittedTasks()
        tasks.remember(ALICE, "t1")
        tasks.remember(JWT_OF_ONE_TEAM, "t2")
        await anyio.sleep(7)
        assert tasks.seconds_ago(ALICE, "t1") == 7
        assert tasks.seconds_ago(ALICE, "t2") is None
        assert tasks.seconds_ago(BOB, "t1") is None
        assert tasks.seconds_ago(JWT_OF_ONE_TEAM, "t2") == 7
        assert tasks.seconds_ago(JWT_OF_ANOTHER, "t2") is None

    run(program)


def test_neither_keys_nor_task_ids_can_be_recovered_from_memory() -> None:
    async def program() -> None:
        tasks = SubmittedTasks()
        tasks.remember(ALICE, "t1-of-alice")
        assert "alice" not in repr(vars(tasks))
        other = SubmittedTasks()
        other.remember(ALICE, "t1-of-alice")
        assert vars(tasks)["_submitted_at"].keys() != vars(other)["_submitted_at"].keys()

    run(program)


def test_the_number_of_tasks_is_limited_and_the_oldest_is_dropped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitted_tasks, "MOST_KEPT", 100)

    async def program() -> None:
        tasks = SubmittedTasks()
        for number in range(250):
            tasks.remember(ALICE, f"t{number}")
        assert [number for number in range(250) if tasks.seconds_ago(ALICE, f"t{number}") is not None] == [
            *range(150, 250)
        ]
        assert len(vars(tasks)["_submitted_at"]) == 100
        await anyio.sleep(submitted_tasks.LONGEST_KEPT + 1)
        assert tasks.seconds_ago(ALICE, "t249") is None
        tasks.remember(BOB, "t1")
        assert len(vars(tasks)["_submitted_at"]) == 1

    run(program)


@pytest.mark.parametrize("status", [400, 402, 502])
def test_only_accepted_runs_are_remembered_and_processes_do_not_share_them(status: int) -> None:
    async def program() -> None:
        cyberun = FakePlatform()
        cyberun.on("POST", "/r/workflows/slug/fox/run", {"task_id": "t1"}, status=202)
        cyberun.on("POST", "/r/workflows/slug/bad/run", {"error_message": "no", "task_id": "t2"}, status=status)
        one, other = (Platform(Settings(base_url=BASE_URL), cyberun.transport()) for _ in range(2))
        deadline = anyio.current_time() + 50
        await one.client_for(ALICE, deadline).run_workflow_by_slug("fox", {})
        with pytest.raises(Exception, match="no"):
            await one.client_for(ALICE, deadline).run_workflow_by_slug("bad", {})
        assert one.client_for(ALICE, deadline).submitted_seconds_ago("t1") == 0
        assert one.client_for(ALICE, deadline).submitted_seconds_ago("t2") is None
        assert one.client_for(BOB, deadline).submitted_seconds_ago("t1") is None
        assert other.client_for(ALICE, deadline).submitted_seconds_ago("t1") is None
        for platform in (one, other):
            await platform.aclose()

    run(program)
