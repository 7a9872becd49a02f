"""A call on a dead connection ends with an error. A call to a slow remote keeps waiting."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cyberun_mcp.bridge.errors import ConnectionLost
from cyberun_mcp.bridge.event_stream import EventStream
from cyberun_mcp.bridge.liveness import PING_AFTER, PING_INTERVAL, SILENCE_LIMIT, Liveness, PingResult
from cyberun_mcp.bridge.response_reader import ResponseReader
from tests.bridge.remotes import event
from tests.properties.virtual_clock import run_at_once


class PingedRemote:
    """Returns the given ping results in order, and then the last one again and again."""

    def __init__(self, *results: PingResult) -> None:
        self._results = list(results)
        self.pings: list[float] = []

    async def ping(self) -> PingResult:
        self.pings.append(asyncio.get_running_loop().time())
        return self._results.pop(0) if len(self._results) > 1 else self._results[0]


async def lost_after(liveness: Liveness, reader: ResponseReader, method: str = "tools/call") -> tuple[float, str]:
    """When a request on this connection fails, in virtual seconds, and the reason."""
    liveness.watch(reader, method)
    try:
        while await reader.read_some(10):
            continue
    except ConnectionLost as error:
        return asyncio.get_running_loop().time(), str(error)
    finally:
        liveness.unwatch(reader)
    pytest.fail("the stream has ended without an error")


async def feed(reader: ResponseReader, every: float, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(every)
        reader.feed_data(b".")


def test_a_silent_remote_is_pinged_repeatedly_up_to_the_silence_limit() -> None:
    async def program() -> None:
        remote = PingedRemote(PingResult.ANSWERED)
        when, why = await lost_after(Liveness(remote.ping), ResponseReader())
        assert (when, why) == (SILENCE_LIMIT, "it has sent nothing for 300 s, and answers a ping on another connection")
        assert remote.pings[:2] == [PING_AFTER, PING_AFTER + PING_INTERVAL]
        assert remote.pings[-1] == SILENCE_LIMIT

    run_at_once(program)


def test_a_request_is_lost_if_keep_alives_stop_but_the_remote_answers_a_ping() -> None:
    async def program() -> None:
        remote = PingedRemote(PingResult.ANSWERED)
        liveness = Liveness(remote.ping)
        liveness.keep_alive_received()
        assert (await lost_after(liveness, ResponseReader()))[0] == PING_AFTER
        assert remote.pings == [PING_AFTER]

    run_at_once(program)


def test_a_remote_that_is_too_busy_for_a_ping_gets_time_even_if_keep_alives_stop() -> None:
    async def program() -> None:
        remote = PingedRemote(PingResult.NO_ANSWER)
        liveness = Liveness(remote.ping)
        liveness.keep_alive_received()
        when, why = await lost_after(liveness, ResponseReader())
        assert (when, why) == (SILENCE_LIMIT, "it has sent nothing for 300 s, and does not answer a ping either")

    run_at_once(program)


@pytest.mark.parametrize(
    ("results", "pings"),
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
def test_a_request_is_lost_if_two_pings_in_a_row_get_no_connection(results: list[PingResult], pings: int) -> None:
    async def program() -> None:
        remote = PingedRemote(*results)
        when, why = await lost_after(Liveness(remote.ping), ResponseReader())
        assert len(remote.pings) == pings
        assert when == PING_AFTER + (pings - 1) * PING_INTERVAL
        assert why.endswith("and cannot be reached any more")

    run_at_once(program)


def test_a_remote_that_sends_data_from_time_to_time_is_not_pinged() -> None:
    async def program() -> None:
        remote, reader = PingedRemote(PingResult.UNREACHABLE), ResponseReader()
        feeding = asyncio.create_task(feed(reader, PING_AFTER - 1, times=100))
        await lost_after(Liveness(remote.ping), reader)
        assert feeding.done()
        assert len(remote.pings) == 2
        assert remote.pings[0] == 100 * (PING_AFTER - 1) + PING_AFTER

    run_at_once(program)


def test_a_client_that_does_not_read_does_not_count_as_a_silent_remote() -> None:
    async def program() -> None:
        remote, reader = PingedRemote(PingResult.UNREACHABLE), ResponseReader()
        Liveness(remote.ping).watch(reader, "tools/call")
        await asyncio.sleep(10 * SILENCE_LIMIT)  # no read waits for more of the response
        assert reader.silent_for == 0
        assert remote.pings == []

    run_at_once(program)


def test_one_ping_serves_all_silent_requests() -> None:
    async def program() -> None:
        remote = PingedRemote(PingResult.ANSWERED)
        liveness = Liveness(remote.ping)
        liveness.keep_alive_received()
        await asyncio.gather(*(lost_after(liveness, ResponseReader()) for _ in range(50)))
        assert remote.pings == [PING_AFTER]

    run_at_once(program)


def test_no_ping_is_sent_without_a_request_in_flight() -> None:
    async def program() -> None:
        remote = PingedRemote(PingResult.UNREACHABLE)
        liveness = Liveness(remote.ping)
        for _ in range(3):
            reader = ResponseReader()
            liveness.watch(reader, "tools/call")
            liveness.unwatch(reader)
            await asyncio.sleep(10 * PING_AFTER)
        assert remote.pings == []

    run_at_once(program)


def test_a_subscription_may_be_silent_for_hours_if_the_remote_sends_no_keep_alives() -> None:
    async def program() -> None:
        remote, reader = PingedRemote(PingResult.UNREACHABLE), ResponseReader()
        liveness = Liveness(remote.ping)
        waiting = asyncio.create_task(lost_after(liveness, reader, "subscriptions/listen"))
        await asyncio.sleep(10 * SILENCE_LIMIT)
        assert remote.pings == []
        liveness.keep_alive_received()
        await waiting
        assert len(remote.pings) == 1

    run_at_once(program)


def test_a_comment_only_counts_as_a_keep_alive_after_a_silence() -> None:
    async def program() -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b": welcome\n\n: again\n\n"
            await asyncio.sleep(15)
            yield event({"jsonrpc": "2.0", "method": "x"})
            assert keep_alives == []
            await asyncio.sleep(15)
            yield b": ping\n\n"

        keep_alives: list[float] = []
        stream = EventStream(pieces(), lambda: keep_alives.append(asyncio.get_running_loop().time()))
        assert len([data async for data in stream]) == 1
        assert keep_alives == [30]

    run_at_once(program)
