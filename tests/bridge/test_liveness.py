"""A call whose connection has died without a word ends with an error; one that is only slow is waited for."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from cyberun_mcp.bridge.events import EventStream
from cyberun_mcp.bridge.incoming import Incoming, Lost
from cyberun_mcp.bridge.liveness import ASK_AGAIN, QUIET, SILENCE_LIMIT, Liveness, Sign
from tests.bridge.client import bridge, call
from tests.bridge.raw_remote import Peer, answer, middlebox, raw_remote, result
from tests.bridge.remotes import Asked, event, scripted
from tests.bridge.test_trouble import MAY_HAVE_RUN
from tests.properties.virtual_clock import run_at_once

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class Remote:
    """What becomes of pings, in order; the last one for ever."""

    def __init__(self, *signs: Sign) -> None:
        self._signs = list(signs)
        self.pings: list[float] = []

    async def ping(self) -> Sign:
        self.pings.append(asyncio.get_running_loop().time())
        return self._signs.pop(0) if len(self._signs) > 1 else self._signs[0]


def at_once(program: Callable[[], Awaitable[None]]) -> None:
    run_at_once(program)


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

    at_once(program)


def test_a_remote_that_used_to_break_silences_and_answers_a_ping_has_lost_the_stream() -> None:
    async def program() -> None:
        remote = Remote(Sign.ANSWERED)
        liveness = Liveness(remote.ping)
        liveness.silence_broken()
        assert (await lost_after(liveness, Incoming()))[0] == QUIET
        assert remote.pings == [QUIET]

    at_once(program)


def test_a_remote_that_is_too_busy_for_a_ping_is_waited_for_though_it_used_to_break_silences() -> None:
    async def program() -> None:
        remote = Remote(Sign.SILENT)
        liveness = Liveness(remote.ping)
        liveness.silence_broken()
        when, why = await lost_after(liveness, Incoming())
        assert (when, why) == (SILENCE_LIMIT, "it has sent nothing for 300 s, and does not answer a ping either")

    at_once(program)


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

    at_once(program)


def test_a_remote_that_says_anything_from_time_to_time_is_never_asked() -> None:
    async def program() -> None:
        remote, incoming = Remote(Sign.UNREACHABLE), Incoming()
        saying = asyncio.create_task(say(incoming, QUIET - 1, times=100))
        await lost_after(Liveness(remote.ping), incoming)
        assert saying.done()
        assert len(remote.pings) == 2
        assert remote.pings[0] == 100 * (QUIET - 1) + QUIET

    at_once(program)


def test_a_client_that_does_not_read_is_no_silence_of_the_remote() -> None:
    async def program() -> None:
        remote, incoming = Remote(Sign.UNREACHABLE), Incoming()
        Liveness(remote.ping).watch(incoming, "tools/call")
        await asyncio.sleep(10 * SILENCE_LIMIT)  # nobody waits for more of the answer
        assert incoming.silent_for == 0
        assert remote.pings == []

    at_once(program)


def test_any_number_of_silent_requests_is_one_question() -> None:
    async def program() -> None:
        remote = Remote(Sign.ANSWERED)
        liveness = Liveness(remote.ping)
        liveness.silence_broken()
        await asyncio.gather(*(lost_after(liveness, Incoming()) for _ in range(50)))
        assert remote.pings == [QUIET]

    at_once(program)


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

    at_once(program)


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

    at_once(program)


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

    at_once(program)


# With real processes: a middlebox between bridge and remote forgets the connections it has.

SOON = {"QUIET": 0.3, "ASK_AGAIN": 0.3, "SILENCE_LIMIT": 1.5}


class Slow:
    """Begins to answer a call, and says no more; `begun` once it has."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self.begun = threading.Event()
        self.over = threading.Event()

    def __call__(self, peer: Peer) -> None:
        while (message := peer.request()) is not None:
            if message["method"] != "tools/call":
                peer.send(answer(result(message["id"])))
                continue
            peer.send(self._first)
            self.begun.set()
            self.over.wait(60)
            peer.send(event(result(message["id"])))


@pytest.mark.parametrize("first", [b"", EVENTS, EVENTS + event({"jsonrpc": "2.0", "method": "x"})], ids=len)
def test_a_call_whose_connection_is_swallowed_is_told_that_it_may_have_run_and_is_not_sent_again(first: bytes) -> None:
    slow = Slow(first)
    with raw_remote(slow) as remote, middlebox(remote.port) as between, bridge(between.url, silence=SOON) as client:
        client.send(call(1, {}))
        assert slow.begun.wait(20)
        between.forget()
        slow.over.set()
        error = client.answer_to(1, seconds=30)["error"]["message"]
        assert "it has sent nothing for" in error
        assert "answers a ping on another connection" in error
        assert MAY_HAVE_RUN in error
        assert client.ask({"id": 2, "method": "tools/list"})["result"] == {}
        methods = remote.methods()
    assert methods.count("tools/call") == 1
    assert "ping" in methods


def test_a_call_whose_remote_cannot_be_reached_any_more_is_told_so() -> None:
    slow = Slow(EVENTS)
    silence = {**SOON, "SILENCE_LIMIT": 3600}
    with raw_remote(slow) as remote, middlebox(remote.port) as between, bridge(between.url, silence=silence) as client:
        client.send(call(1, {}))
        assert slow.begun.wait(20)
        between.forget()
        between.refuse()
        error = client.answer_to(1, seconds=30)["error"]["message"]
        slow.over.set()
    assert "cannot be reached any more" in error
    assert MAY_HAVE_RUN in error
    assert remote.methods() == ["tools/call"]


def test_a_stream_that_used_to_be_kept_alive_is_given_up_without_waiting_for_the_limit() -> None:
    def script(peer: Peer) -> None:
        while (message := peer.request()) is not None:
            if message["method"] != "tools/call":
                peer.send(answer(result(message["id"])))
                continue
            peer.send(EVENTS)
            while not over.wait(0.1):
                peer.send(b": ping\n\n")
                alive.release()

    over, alive = threading.Event(), threading.Semaphore(0)
    silence = {"QUIET": 1, "ASK_AGAIN": 1, "SILENCE_LIMIT": 3600, "SILENCE_BROKEN_AFTER": 0.05}
    with (
        raw_remote(script) as remote,
        middlebox(remote.port) as between,
        bridge(between.url, silence=silence) as client,
    ):
        client.send(call(1, {}))
        for _ in range(5):
            assert alive.acquire(timeout=20)
        between.forget()
        error = client.answer_to(1, seconds=30)["error"]["message"]
        over.set()
    assert "answers a ping on another connection" in error
    assert MAY_HAVE_RUN in error
    assert remote.methods().count("tools/call") == 1


@pytest.mark.parametrize("first", [b"", EVENTS], ids=["JSON", "a stream"])
def test_a_slow_remote_without_signs_of_life_is_asked_and_its_call_answered(first: bytes) -> None:
    def script(peer: Peer) -> None:
        while (message := peer.request()) is not None:
            if message["method"] == "ping":
                pinged.release()
                peer.send(answer(result(message["id"])))
                continue
            peer.send(first)
            for _ in range(3):
                assert pinged.acquire(timeout=30)
            peer.send(event(result(message["id"], late=True)) if first else answer(result(message["id"], late=True)))

    pinged = threading.Semaphore(0)
    silence = {**SOON, "SILENCE_LIMIT": 3600}
    with raw_remote(script) as remote, bridge(remote.url, silence=silence) as client:
        client.send(call(1, {}))
        assert client.answer_to(1, seconds=60)["result"] == {"late": True}
        assert remote.methods().count("tools/call") == 1


def test_the_ping_is_one_of_the_session_and_its_answer_reaches_nobody() -> None:
    def script(asked: Asked) -> None:
        if asked.verb != "POST":
            return asked.answer(405)
        if asked.message.get("method") == "ping":
            sessions.append(asked.headers.get("mcp-session-id"))
            pinged.release()
        if asked.message.get("method") == "tools/call":
            for _ in range(2):
                assert pinged.acquire(timeout=30)
        return asked.result(**({"Mcp_Session_Id": "s"} if asked.message.get("method") == "initialize" else {}))

    sessions: list[str | None] = []
    pinged = threading.Semaphore(0)
    with scripted(script) as remote, bridge(remote.url, silence={**SOON, "SILENCE_LIMIT": 3600}) as client:
        client.initialize()
        client.send(call(1, {}))
        assert client.receive(seconds=30)["id"] == 1
    assert set(sessions) == {"s"}


def test_a_swallowed_stream_that_can_be_resumed_is_taken_up_on_another_connection() -> None:
    def script(peer: Peer) -> None:
        while (message := peer.request()) is not None:
            if message.get("method") == "tools/call":
                peer.send(EVENTS + b"id: e1\n" + event({"jsonrpc": "2.0", "method": "x"}))
                over.wait(60)
            elif peer.last_event_id == "e1":
                peer.send(EVENTS + event(result(1, resumed=True)))
                return peer.close()
            else:
                peer.send(answer(result(message.get("id"))))
        return None

    over = threading.Event()
    with raw_remote(script) as remote, middlebox(remote.port) as between, bridge(between.url, silence=SOON) as client:
        client.send(call(1, {}))
        assert client.receive(seconds=20)["method"] == "x"
        between.forget()
        assert client.answer_to(1, seconds=30)["result"] == {"resumed": True}
        over.set()
        assert remote.methods().count("tools/call") == 1
