"""Progress notifications obey their rules for any sequence of task states and any speed of the client."""

from dataclasses import dataclass
from itertools import pairwise

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberun_mcp.api.events import TaskState
from cyberun_mcp.tools.progress import describe_state, relay_progress
from tests.properties.virtual_clock import run_at_once

SHORTEST_GAP = 0.1  # seconds; ten messages a second
HEARTBEAT = 10.0  # seconds
FINAL_TIMEOUT = 1.0  # seconds
TOLERANCE = 1e-6  # seconds; the rounding error of a gap

STATUSES = ["pending", "waiting", "queued", "running", "completed", "failed", "cancelled", "tomorrow"]
states = st.builds(
    TaskState,
    st.just("task-1"),
    task_status=st.sampled_from(STATUSES) | st.none(),
    progress=st.floats(0, 1) | st.none(),
    step_current=st.integers(-5, 2**53) | st.none(),
    step_total=st.integers(0, 2**53) | st.none(),
    current_node=st.text(max_size=500) | st.none(),
    stage=st.text(max_size=10) | st.none(),
    message=st.text(max_size=500) | st.none(),
)
gaps = st.sampled_from([0.0, 0.001, 0.05, 0.0999, 0.1, 0.5, 9.99, 10, 35]) | st.floats(0, 20)


@dataclass(frozen=True)
class Message:
    time: float
    value: float
    text: str


@dataclass
class Recording:
    """The messages a client received during one wait, and when the wait ended."""

    messages: list[Message]
    last_update: float = 0.0
    ended: float = 0.0


def record(updates: list[tuple[float, TaskState]], client_takes: float) -> Recording:
    """Record a wait. Each update is a gap in seconds and a state; the client takes `client_takes` seconds a message."""
    recording = Recording([])

    async def report(progress: float, total: float | None, message: str | None) -> None:
        assert total == 1
        recording.messages.append(Message(anyio.current_time(), progress, str(message)))
        await anyio.sleep(client_takes)

    async def wait() -> None:
        async with relay_progress(report, TaskState("task-1")) as on_change:
            for gap, state in updates:
                await anyio.sleep(gap)
                on_change(state)
            recording.last_update = anyio.current_time()
        recording.ended = anyio.current_time()
        await anyio.sleep(60)

    run_at_once(wait)
    return recording


def up_to_first_end(updates: list[tuple[float, TaskState]]) -> list[tuple[float, TaskState]]:
    """`updates` up to and including the first terminal state, where TaskFollower stops."""
    ends = [number for number, (_, state) in enumerate(updates) if state.terminal]
    return updates[: ends[0] + 1] if ends else updates


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(gaps, states), max_size=30).map(up_to_first_end), st.sampled_from([0.0, 0.0, 0.03, 0.25]))
def test_progress_increases_at_most_ten_times_a_second_and_ends_with_the_last_state(
    updates: list[tuple[float, TaskState]], client_takes: float
) -> None:
    recording = record(updates, client_takes)
    messages = recording.messages
    assert all(later.value > earlier.value for earlier, later in pairwise(messages))
    assert all(later.time - earlier.time >= SHORTEST_GAP - TOLERANCE for earlier, later in pairwise(messages))
    assert all(
        later.time - earlier.time <= HEARTBEAT + client_takes + TOLERANCE for earlier, later in pairwise(messages)
    )
    assert all(0 <= message.value <= 1 for message in messages)
    assert messages[0].time == 0
    assert messages[0].text.startswith("task task-1: ")
    last = updates[-1][1] if updates else TaskState("task-1")
    assert describe_state(last).encode("utf-8", "replace").decode() in messages[-1].text
    assert (messages[-1].value == 1) is (last.task_status == "completed")
    assert messages[-1].time <= recording.ended
    assert recording.ended - recording.last_update <= FINAL_TIMEOUT + TOLERANCE


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(gaps, states), max_size=5).map(up_to_first_end))
def test_a_client_that_has_stopped_reading_delays_the_result_by_a_second_at_most(
    updates: list[tuple[float, TaskState]],
) -> None:
    recording = record(updates, client_takes=3600)
    assert len(recording.messages) == 1
    assert recording.ended - recording.last_update <= FINAL_TIMEOUT + TOLERANCE


def test_a_long_silence_has_a_heartbeat_every_ten_seconds_with_the_time_so_far() -> None:
    updates = [(0.0, TaskState("task-1", "running", progress=0.5)), (3605.0, TaskState("task-1", "failed"))]
    recording = record(updates, client_takes=0)
    assert 355 <= len(recording.messages) <= 365
    assert recording.messages[-2].text == "running, 50% (3600 s so far)"
    assert recording.messages[-1].text == "failed"
