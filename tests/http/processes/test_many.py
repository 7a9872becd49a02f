"""Many waits at once."""

import sys

import anyio
import pytest

from tests.http.processes.calls import call
from tests.http.processes.conftest import PatientPlatform
from tests.http.processes.process import endpoint
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot be told to stop in order")


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_waits_that_begin_at_once_all_end_and_other_calls_are_answered_meanwhile(
    cyberun: PatientPlatform, era: str, workers: str
) -> None:
    """A hundred of them, where the limit of open files is 128 and nobody has thought of raising it."""
    begun = [f"slow.{era}-{workers}-{number}" for number in range(100)]
    ended: list[str] = []

    async def wait(task_id: str) -> None:
        arguments = {"task_id": task_id, "timeout_seconds": 600}
        result = await call(client, era, "stream_task_events", arguments, progressToken="t")
        ended.append(result["structuredContent"]["task_status"])

    with endpoint(cyberun.base_url, "--workers", workers, "--log-level", "warning", open_files=128) as ours:
        async with ours.client() as client, anyio.create_task_group() as tasks:
            for task_id in begun:
                tasks.start_soon(wait, task_id)
            await until(lambda: sum(bool(cyberun.seen(task, "events")) for task in begun) == len(begun))
            for _ in range(20):
                assert not (await call(client, era, "list_workflows")).get("isError")
            cyberun.release()
    assert ended == ["completed"] * len(begun)
