"""How long the end of an endpoint takes, on a virtual clock."""

import anyio
import pytest

from cyberun_mcp.http.middleware.drain import Drain
from tests.properties.virtual_clock import run_at_once


@pytest.mark.parametrize(
    ("call_takes", "drain_takes", "cut"), [(0.0, 0.0, False), (0.2, 0.2, False), (3600.0, 0.3, True)]
)
def test_a_drain_waits_for_what_runs_and_no_longer_than_it_may(
    call_takes: float, drain_takes: float, cut: bool
) -> None:
    async def play() -> tuple[float, bool]:
        drain = Drain()

        async def run(call: anyio.CancelScope) -> None:
            with call:
                await anyio.sleep(call_takes)
            drain.leave(call)

        call = anyio.CancelScope()
        async with anyio.create_task_group() as calls:
            drain.enter(call)
            calls.start_soon(run, call)
            await drain.finish(0.3)
            ended = anyio.current_time()
        return ended, call.cancelled_caught

    assert run_at_once(play) == (drain_takes, cut)
