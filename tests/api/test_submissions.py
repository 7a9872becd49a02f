"""What is remembered of the tasks a process has submitted: for a while, within bounds, and for nobody else."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from cyberun_mcp.api import submissions
from cyberun_mcp.api.client import Platform
from cyberun_mcp.api.credentials import Credential
from cyberun_mcp.api.submissions import Submissions
from cyberun_mcp.settings import Settings
from tests.fake_platform import BASE_URL, FakePlatform
from tests.properties.virtual_clock import run_at_once

ALICE, BOB = Credential("sk-alice-12345678"), Credential("sk-bob-12345678")
JWT_OF_ONE_TEAM, JWT_OF_ANOTHER = Credential("eyJ.a.b", "team-1"), Credential("eyJ.a.b", "team-2")


def at_once(program: Callable[[], Awaitable[None]]) -> None:
    run_at_once(program)


def test_a_caller_is_told_of_the_own_tasks_only() -> None:
    async def program() -> None:
        kept = Submissions()
        kept.remember(ALICE, "t1")
        kept.remember(JWT_OF_ONE_TEAM, "t2")
        await anyio.sleep(7)
        assert kept.seconds_ago(ALICE, "t1") == 7
        assert kept.seconds_ago(ALICE, "t2") is None
        assert kept.seconds_ago(BOB, "t1") is None
        assert kept.seconds_ago(JWT_OF_ONE_TEAM, "t2") == 7
        assert kept.seconds_ago(JWT_OF_ANOTHER, "t2") is None

    at_once(program)


def test_neither_keys_nor_tasks_can_be_read_out_of_what_is_kept() -> None:
    async def program() -> None:
        kept = Submissions()
        kept.remember(ALICE, "t1-of-alice")
        assert "alice" not in repr(vars(kept))
        other = Submissions()
        other.remember(ALICE, "t1-of-alice")
        assert vars(kept)["_submitted_at"].keys() != vars(other)["_submitted_at"].keys()

    at_once(program)


def test_what_is_kept_has_bounds_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "MOST_KEPT", 100)

    async def program() -> None:
        kept = Submissions()
        for number in range(250):
            kept.remember(ALICE, f"t{number}")
        assert [number for number in range(250) if kept.seconds_ago(ALICE, f"t{number}") is not None] == [
            *range(150, 250)
        ]
        assert len(vars(kept)["_submitted_at"]) == 100
        await anyio.sleep(submissions.LONGEST_KEPT + 1)
        assert kept.seconds_ago(ALICE, "t249") is None
        kept.remember(BOB, "t1")
        assert len(vars(kept)["_submitted_at"]) == 1

    at_once(program)


@pytest.mark.parametrize("status", [400, 402, 502])
def test_only_accepted_runs_are_kept_and_two_processes_do_not_share_them(status: int) -> None:
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
        for each in (one, other):
            await each.aclose()

    at_once(program)
