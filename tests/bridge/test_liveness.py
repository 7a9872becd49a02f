"""A call whose connection has died without a word ends with an error; one that is only slow is waited for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cyberun_mcp.bridge.errors import ConnectionLost
from cyberun_mcp.bridge.event_stream import EventStream
from cyberun_mcp.bridge.liveness import PING_AFTER, PING_INTERVAL, SILENCE_LIMIT, Liveness, PingResult
from cyberun_mcp.bridge.response_reader import ResponseReader
from tests.bridge.remotes import event
from tests.properties.virtual_clock import run_at_once


class Remote:
    """What becomes of pings, in order; the last one for ever."""

    def __init__(self, *signs: PingResult) -> None:
        self._signs = list(signs)
        self.pings: list[float] = []

    async def ping(self) -> PingResult:
        self.pings.append(asyncio.get_running_loop().time())
        return self._signs.pop(0) if len(self._signs) > 1 else self._signs[0]


async def lost_after(liveness: Liveness, reader: ResponseReader, method: str = "tools/call") -> tuple[float, str]:
    """When a request on this connection is given up, in virtual seconds, and why."""
    liveness.watch(reader, method)
    try:
        while await reader.read_some(10):
            continue
    except ConnectionLost as lost:
        return asyncio.get_running_loop().time(), str(lost)
    finally:
        liveness.unwatch(reader)
    pytest.fail("it has ended in good order")


async def say(reader: ResponseReader, every: float, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(every)
        reader.feed_data(b".")


def test_a_remote_that_works_in_silence_is_asked_now_and_then_and_waited_for_up_to_the_limit() -> None:
    async def program() -> None:
        remote = Remote(PingResult.ANSWERED)
        when, why = await lost_after(Liveness(remote.ping), ResponseReader())
        assert (when, why) == (SILENCE_LIMIT, "it has sent nothing for 300 s, and answers a ping on another connection")
        assert remote.pings[:2] == [PING_AFTER, PING_AFTER + PING_INTERVAL]
        assert remote.pings[-1] == SILENCE_LIMIT

    run_at_once(program)


def test_a_remote_that_used_to_break_silences_and_answers_a_ping_has_lost_the_stream() -> None:
    async def program() -> None:
        remote = Remote(PingResult.ANSWERED)
        liveness = Liveness(remote.ping)
        liveness.keep_alive_received()
        assert (await lost_after(liveness, ResponseReader()))[0] == PING_AFTER
        assert remote.pings == [PING_AFTER]

    run_at_once(program)


def test_a_remote_that_is_too_busy_for_a_ping_is_waited_for_though_it_used_to_break_silences() -> None:
    async def program() -> None:
        remote = Remote(PingResult.NO_ANSWER)
        liveness = Liveness(remote.ping)
        liveness.keep_alive_received()
        when, why = await lost_after(liveness, ResponseReader())
        assert (when, why) == (SILENCE_LIMIT, "it has sent nothing for 300 s, and does not answer a ping either")

    run_at_once(program)


@pytest.mark.parametrize(
    ("signs", "pings"),
    [
        ([PingResult.UNREACHABLE], 2),
        (
            [
                PingResult.UNREACHABLE,
                PingResult.NO_ANSWER,
                PingResult.UNREACHABLE,
                PingResult.ANSWERED,
                PingResult.UNREACHABLE,
            ],
            6,
        ),
    ],
)
def test_a_remote_that_cannot_be_reached_twice_in_a_row_is_given_up(signs: list[PingResult], pings: int) -> None:
    async def program() -> None:
        remote = Remote(*signs)
        when, why = await lost_after(Liveness(remote.ping), ResponseReader())
        assert len(remote.pings) == pings
        assert when == PING_AFTER + (pings - 1) * PING_INTERVAL
        assert why.endswith("and cannot be reached any more")

    run_at_once(program)


def test_a_remote_that_says_anything_from_time_to_time_is_never_asked() -> None:
    async def program() -> None:
        remote, reader = Remote(PingResult.UNREACHABLE), ResponseReader()
        saying = asyncio.create_task(say(reader, PING_AFTER - 1, times=100))
        await lost_after(Liveness(remote.ping), reader)
        assert saying.done()
        assert len(remote.pings) == 2
        assert remote.pings[0] == 100 * (PING_AFTER - 1) + PING_AFTER

    run_at_once(program)


def test_a_client_that_does_not_read_is_no_silence_of_the_remote() -> None:
    async def program() -> None:
        remote, reader = Remote(PingResult.UNREACHABLE), ResponseReader()
        Liveness(remote.ping).watch(reader, "tools/call")
        await asyncio.sleep(10 * SILENCE_LIMIT)  # nobody waits for more of the answer
        assert reader.silent_for == 0
        assert remote.pings == []

    run_at_once(program)


def test_any_number_of_silent_requests_is_one_question() -> None:
    async def program() -> None:
        remote = Remote(PingResult.ANSWERED)
        liveness = Liveness(remote.ping)
        liveness.keep_alive_received()
        await asyncio.gather(*(lost_after(liveness, ResponseReader()) for _ in range(50)))
        assert remote.pings == [PING_AFTER]

    run_at_once(program)


def test_nobody_asks_when_nobody_waits() -> None:
    async def program() -> None:
        remote = Remote(PingResult.UNREACHABLE)
        liveness = Liveness(remote.ping)
        for _ in range(3):
            reader = ResponseReader()
            liveness.watch(reader, "tools/call")
            liveness.unwatch(reader)
            await asyncio.sleep(10 * PING_AFTER)
        assert remote.pings == []

    run_at_once(program)


def test_a_subscription_may_be_silent_for_hours_with_a_remote_that_breaks_no_silence() -> None:
    async def program() -> None:
        remote, reader = Remote(PingResult.UNREACHABLE), ResponseReader()
        liveness = Liveness(remote.ping)
        waiting = asyncio.create_task(lost_after(liveness, reader, "subscriptions/listen"))
        await asyncio.sleep(10 * SILENCE_LIMIT)
        assert remote.pings == []
        liveness.keep_alive_received()
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
