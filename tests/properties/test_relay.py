"""The relay keeps its promises to the client whatever the task tells, and however slowly the client reads."""

from dataclasses import dataclass
from itertools import pairwise

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberun_mcp.api.events import TaskState
from cyberun_mcp.tools.progress import describe, relay
from tests.properties.virtual_clock import run_at_once

SHORTEST_GAP = 0.1  # seconds; ten messages a second
HEARTBEAT = 10.0  # seconds
LAST_WORD = 1.0  # seconds
HASTE = 1e-6  # seconds; what floats may lose of a gap

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
class Told:
    at: float
    value: float
    message: str


@dataclass
class Account:
    """What a client was told during one wait, and when the wait was over."""

    told: list[Told]
    last_news: float = 0.0
    over: float = 0.0


def account_of(news: list[tuple[float, TaskState]], client_takes: float) -> Account:
    """The account of a wait in which each state of `news` comes so many seconds after the one before."""
    account = Account([])

    async def report(progress: float, total: float | None, message: str | None) -> None:
        assert total == 1
        account.told.append(Told(anyio.current_time(), progress, str(message)))
        await anyio.sleep(client_takes)

    async def wait() -> None:
        async with relay(report, TaskState("task-1")) as tell:
            for gap, state in news:
                await anyio.sleep(gap)
                tell(state)
            account.last_news = anyio.current_time()
        account.over = anyio.current_time()
        await anyio.sleep(60)

    run_at_once(wait)
    return account


def ended_once(news: list[tuple[float, TaskState]]) -> list[tuple[float, TaskState]]:
    """`news` up to and with its first terminal state, as the follower stops there."""
    ends = [number for number, (_, state) in enumerate(news) if state.terminal]
    return news[: ends[0] + 1] if ends else news


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(gaps, states), max_size=30).map(ended_once), st.sampled_from([0.0, 0.0, 0.03, 0.25]))
def test_progress_rises_is_never_hurried_and_ends_with_the_last_state(
    news: list[tuple[float, TaskState]], client_takes: float
) -> None:
    account = account_of(news, client_takes)
    told = account.told
    assert all(later.value > earlier.value for earlier, later in pairwise(told))
    assert all(later.at - earlier.at >= SHORTEST_GAP - HASTE for earlier, later in pairwise(told))
    assert all(later.at - earlier.at <= HEARTBEAT + client_takes + HASTE for earlier, later in pairwise(told))
    assert all(0 <= each.value <= 1 for each in told)
    assert told[0].at == 0
    assert told[0].message.startswith("task task-1: ")
    last = news[-1][1] if news else TaskState("task-1")
    assert describe(last).encode("utf-8", "replace").decode() in told[-1].message
    assert (told[-1].value == 1) is (last.task_status == "completed")
    assert told[-1].at <= account.over
    assert account.over - account.last_news <= LAST_WORD + HASTE


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(gaps, states), max_size=5).map(ended_once))
def test_a_client_that_has_stopped_reading_holds_the_answer_up_for_a_second_at_most(
    news: list[tuple[float, TaskState]],
) -> None:
    account = account_of(news, client_takes=3600)
    assert len(account.told) == 1
    assert account.over - account.last_news <= LAST_WORD + HASTE


def test_a_long_silence_is_broken_every_ten_seconds_with_how_long_it_has_lasted() -> None:
    account = account_of([(0, TaskState("task-1", "running", progress=0.5)), (3605, TaskState("task-1", "failed"))], 0)
    assert 355 <= len(account.told) <= 365
    assert account.told[-2].message == "running, 50% (3600 s so far)"
    assert account.told[-1].message == "failed"
