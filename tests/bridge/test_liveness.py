"""A call whose connection has died without a word ends with an error; one that is only slow is waited for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cyberun_mcp.bridge.events import EventStream
from cyberun_mcp.bridge.incoming import Incoming, Lost
from cyberun_mcp.bridge.liveness import ASK_AGAIN, QUIET, SILENCE_LIMIT, Liveness, Sign
from tests.bridge.remotes import event
from tests.properties.virtual_clock import run_at_once


class Remote:
    """What becomes of pings, in order; the last one for ever."""

    def __init__(self, *signs: Sign) -> None:
        self._signs = list(signs)
        self.pings: list[float] = []

    async def ping(self) -> Sign:
        self.pings.append(asyncio.get_running_loop().time())
        return self._signs.pop(0) if len(self._signs) > 1 else self._signs[0]


async def lost_after(liveness: Liveness, incoming: Incoming, method: str = "tools/call") -> tuple[float, str]:
    """When a request on this connection is given up, in virtual seconds, and why."""
    liveness.watch(incoming, method)
    try:
        while await incoming.some(10):
            continue
    except Lost as lost:
        return asyncio.get_running_loop().time(), str(lost)
    finally:
        liveness.release(incoming)
    pytest.fail("it has ended in good order")


async def say(incoming: Incoming, every: float, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(every)
        incoming.feed_data(b".")


def test_a_remote_that_works_in_silence_is_asked_now_and_then_and_waited_for_up_to_the_limit() -> None:
    async def program() -> None:
        remote = Remote(Sign.ANSWERED)
        when, why = await lost_after(Liveness(remote.ping), Incoming())
        assert (when, why) == (SILENCE_LIMIT, "it has sent nothing for 300 s, and answers a ping on another connection")
        assert remote.pings[:2] == [QUIET, QUIET + ASK_AGAIN]
        assert remote.pings[-1] == SILENCE_LIMIT

    run_at_once(program)


def test_a_remote_that_used_to_break_silences_and_answers_a_ping_has_lost_the_stream() -> None:
    async def program() -> None:
        remote = Remote(Sign.ANSWERED)
        liveness = Liveness(remote.ping)
        liveness.silence_broken()
        assert (await lost_after(liveness, Incoming()))[0] == QUIET
        assert remote.pings == [QUIET]

    run_at_once(program)


def test_a_remote_that_is_too_busy_for_a_ping_is_waited_for_though_it_used_to_break_silences() -> None:
    async def program() -> None:
        remote = Remote(Sign.SILENT)
        liveness = Liveness(remote.ping)
        liveness.silence_broken()
        when, why = await lost_after(liveness, Incoming())
        assert (when, why) == (SILENCE_LIMIT, "it has sent nothing for 300 s, and does not answer a ping either")

    run_at_once(program)


@pytest.mark.parametrize(
    ("signs", "pings"),
    [
        ([Sign.UNREACHABLE], 2),
        ([Sign.UNREACHABLE, Sign.SILENT, Sign.UNREACHABLE, Sign.ANSWERED, Sign.UNREACHABLE], 6),
    ],
)
def test_a_remote_that_cannot_be_reached_twice_in_a_row_is_given_up(signs: list[Sign], pings: int) -> None:
    async def program() -> None:
        remote = Remote(*signs)
        when, why = await lost_after(Liveness(remote.ping), Incoming())
        assert len(remote.pings) == pings
        assert when == QUIET + (pings - 1) * ASK_AGAIN
        assert why.endswith("and cannot be reached any more")

    run_at_once(program)


def test_a_remote_that_says_anything_from_time_to_time_is_never_asked() -> None:
    async def program() -> None:
        remote, incoming = Remote(Sign.UNREACHABLE), Incoming()
        saying = asyncio.create_task(say(incoming, QUIET - 1, times=100))
        await lost_after(Liveness(remote.ping), incoming)
        assert saying.done()
        assert len(remote.pings) == 2
        assert remote.pings[0] == 100 * (QUIET - 1) + QUIET

    run_at_once(program)


def test_a_client_that_does_not_read_is_no_silence_of_the_remote() -> None:
    async def program() -> None:
        remote, incoming = Remote(Sign.UNREACHABLE), Incoming()
        Liveness(remote.ping).watch(incoming, "tools/call")
        await asyncio.sleep(10 * SILENCE_LIMIT)  # nobody waits for more of the answer
        assert incoming.silent_for == 0
        assert remote.pings == []

    run_at_once(program)


def test_any_number_of_silent_requests_is_one_question() -> None:
    async def program() -> None:
        remote = Remote(Sign.ANSWERED)
        liveness = Liveness(remote.ping)
        liveness.silence_broken()
        await asyncio.gather(*(lost_after(liveness, Incoming()) for _ in range(50)))
        assert remote.pings == [QUIET]

    run_at_once(program)


def test_nobody_asks_when_nobody_waits() -> None:
    async def program() -> None:
        remote = Remote(Sign.UNREACHABLE)
        liveness = Liveness(remote.ping)
        for _ in range(3):
            incoming = Incoming()
            liveness.watch(incoming, "tools/call")
            liveness.release(incoming)
            await asyncio.sleep(10 * QUIET)
        assert remote.pings == []

    run_at_once(program)


def test_a_subscription_may_be_silent_for_hours_with_a_remote_that_breaks_no_silence() -> None:
    async def program() -> None:
        remote, incoming = Remote(Sign.UNREACHABLE), Incoming()
        liveness = Liveness(remote.ping)
        waiting = asyncio.create_task(lost_after(liveness, incoming, "subscriptions/listen"))
        await asyncio.sleep(10 * SILENCE_LIMIT)
        assert remote.pings == []
        liveness.silence_broken()
        await waiting
        assert len(remote.pings) == 1

    run_at_once(program)


def test_only_a_comment_that_breaks_a_silence_is_a_sign_of_more() -> None:
    async def program() -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b": welcome\n\n: again\n\n"
            await asyncio.sleep(15)
            yield event({"jsonrpc": "2.0", "method": "x"})
            assert broken == []
            await asyncio.sleep(15)
            yield b": ping\n\n"

        broken: list[float] = []
        stream = EventStream(pieces(), lambda: broken.append(asyncio.get_running_loop().time()))
        assert len([data async for data in stream]) == 1
        assert broken == [30]

    run_at_once(program)
