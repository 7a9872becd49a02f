"""Each guard by itself: whom it turns away, and what of a request it lets through."""

import hashlib
from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from cyberun_mcp.api.credentials import Credential
from cyberun_mcp.http.middleware.authentication import CallerKeyAuth, ClientTokenAuth, KeyCheck
from cyberun_mcp.http.middleware.limits import BodyLimit, ConcurrencyLimit, RateLimit
from cyberun_mcp.http.middleware.trusted_proxies import TrustedProxies
from cyberun_mcp.http.settings import network
from tests.http.in_memory import CANARY, Noting, Refusals, caller_of

JWT = "eyJhbGciOi.J9canary.c2ln"
ALL = ("sk", "dk", "jwt")


class Clock:
    """A clock that goes when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def status(client: httpx2.AsyncClient, key: str = CANARY, **headers: str) -> int:
    return (await client.post("/mcp", headers={"Authorization": f"Bearer {key}", **headers})).status_code


# --- callers' keys


@pytest.mark.parametrize(
    ("accepted", "key", "expected"),
    [
        (("sk",), "sk-12345678", 200),
        (("sk",), "dk-12345678", 401),
        (("sk", "dk"), "dk-12345678", 200),
        (("jwt",), "sk-12345678", 401),
        (("jwt",), JWT, 200),
        (("sk",), JWT, 401),
        (ALL, "ak-12345678", 401),
        (ALL, "sk-" + "x" * 5_000, 401),
        (ALL, "sk-a b", 401),
        (ALL, "sk", 401),
    ],
)
async def test_only_accepted_families_pass(accepted: tuple[str, ...], key: str, expected: int) -> None:
    async with caller_of(CallerKeyAuth(Noting(), Refusals(), accepted)) as client:
        assert await status(client, key, **{"X-Team-ID": "team-1"}) == expected


async def test_a_jwt_without_its_team_is_told_what_is_missing() -> None:
    async with caller_of(CallerKeyAuth(Noting(), Refusals(), ALL)) as client:
        answer = await client.post("/mcp", headers={"Authorization": f"Bearer {JWT}"})
    assert answer.status_code == 400
    assert "X-Team-ID" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("key", "passed_on"), [(JWT, "team-1"), ("sk-12345678", None), ("dk-12345678", None)])
async def test_the_team_header_goes_on_with_a_jwt_only(key: str, passed_on: str | None) -> None:
    app = Noting()
    async with caller_of(CallerKeyAuth(app, Refusals(), ALL)) as client:
        assert await status(client, key, **{"X-Team-ID": "team-1"}) == 200
    assert Headers(scope=app.scopes[0]).get("x-team-id") == passed_on


# --- known clients of a server with its own key


async def test_clients_are_known_by_the_hash_of_their_token() -> None:
    hashes = [hashlib.sha256(token.encode()).digest() for token in ("alpha", "beta")]
    async with caller_of(ClientTokenAuth(Noting(), Refusals(), lambda: hashes)) as client:
        assert [await status(client, token) for token in ("alpha", "beta")] == [200, 200]
        assert [await status(client, token) for token in ("gamma", "", hashes[0].hex())] == [401, 401, 401]
        hashes.pop()
        assert await status(client, "beta") == 401


# --- asking the platform about a key


class Answers:
    """What the platform says of keys; counts how often it was asked."""

    def __init__(self, verdict: bool | None) -> None:
        self.verdict = verdict
        self.asked = 0

    async def __call__(self, _: Credential) -> bool | None:
        self.asked += 1
        await anyio.sleep(0.01)
        return self.verdict


def checked(answers: Answers, clock: Clock) -> tuple[CallerKeyAuth, KeyCheck]:
    check = KeyCheck(Noting(), Refusals(), answers, clock)
    return CallerKeyAuth(check, Refusals(), ALL), check


@pytest.mark.parametrize(("verdict", "expected", "memory"), [(True, 200, 60), (False, 401, 30), (None, 200, 5)])
async def test_a_verdict_is_remembered_for_its_time(verdict: bool | None, expected: int, memory: float) -> None:
    answers, clock = Answers(verdict), Clock()
    async with caller_of(checked(answers, clock)[0]) as client:
        assert [await status(client), await status(client)] == [expected, expected]
        clock.now += memory - 1
        assert await status(client) == expected
        assert answers.asked == 1
        clock.now += 2
        assert await status(client) == expected
        assert answers.asked == 2


async def test_requests_that_come_together_ask_once() -> None:
    answers = Answers(verdict=True)
    async with caller_of(checked(answers, Clock())[0]) as client, anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(status, client)
    assert answers.asked == 1


async def test_a_caller_who_leaves_while_asking_leaves_the_question_to_the_next() -> None:
    class LateAnswers(Answers):
        async def __call__(self, credential: Credential) -> bool | None:
            if self.asked == 0:
                self.asked += 1
                await anyio.sleep_forever()
            return await super().__call__(credential)

    answers = LateAnswers(verdict=True)
    async with caller_of(checked(answers, Clock())[0]) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(status, client)
            await anyio.wait_all_tasks_blocked()
            assert answers.asked == 1
            tasks.cancel_scope.cancel()
        assert await status(client) == 200
    assert answers.asked == 2


async def test_keys_are_judged_apart_and_none_is_kept_in_clear() -> None:
    answers = Answers(verdict=False)
    app, check = checked(answers, Clock())
    async with caller_of(app) as client:
        assert await status(client) == 401
        answers.verdict = True
        assert await status(client, "sk-another-one") == 200
    assert "canary" not in repr(vars(check))


async def test_made_up_keys_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyberun_mcp.http.middleware.authentication.MOST_CACHED_KEYS", 3)
    app, check = checked(Answers(verdict=True), Clock())
    async with caller_of(app) as client:
        for number in range(6):
            await status(client, f"sk-{number}2345678")
    assert len(check._verdicts) == 3


# --- limits


@pytest.mark.parametrize(("size", "expected"), [(100, 200), (101, 413)])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_may_have_so_many_bytes_announced_or_not(size: int, expected: int, announced: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size):
            yield b"x"

    refusals = Refusals()
    async with caller_of(BodyLimit(Noting(), refusals, 100)) as client:
        answer = await client.post("/mcp", content=b"x" * size if announced else pieces())
    assert answer.status_code == expected
    assert refusals.reasons == (["size"] if expected == 413 else [])


async def test_a_caller_gets_a_seconds_worth_at_once_and_then_the_rate() -> None:
    clock, refusals = Clock(), Refusals()
    app = CallerKeyAuth(RateLimit(Noting(), refusals, rate=3, clock=clock), Refusals(), ALL)
    async with caller_of(app) as client:
        assert [await status(client) for _ in range(4)] == [200, 200, 200, 429]
        assert await status(client, "sk-another-one") == 200
        refused = await client.post("/mcp", headers={"Authorization": f"Bearer {CANARY}"})
        assert refused.headers["retry-after"] == "1"
        clock.now += 0.34
        assert [await status(client), await status(client)] == [200, 429]
    assert refusals.reasons == ["rate"] * 3


async def test_a_rate_below_one_a_second_says_how_long_to_wait() -> None:
    limit = RateLimit(Noting(), Refusals(), rate=0.1, clock=Clock())
    async with caller_of(limit) as client:
        assert await status(client) == 200
        refused = await client.post("/mcp")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")


async def test_the_rate_limit_forgets_callers_who_are_quiet() -> None:
    clock = Clock()
    limit = RateLimit(Noting(), Refusals(), rate=5, clock=clock)
    async with caller_of(CallerKeyAuth(limit, Refusals(), ALL)) as client:
        for number in range(50):
            await status(client, f"sk-{number}2345678")
        assert len(limit._buckets) == 50
        clock.now += 1.1
        await status(client)
    assert len(limit._buckets) == 1


async def test_a_key_may_have_so_many_calls_running_and_others_are_not_touched() -> None:
    going, release = anyio.Event(), anyio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        going.set()
        await release.wait()
        await Noting()(scope, receive, send)

    limit = ConcurrencyLimit(slow, Refusals(), 1)
    async with caller_of(CallerKeyAuth(limit, Refusals(), ALL)) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(status, client)
        await going.wait()
        refused = await client.post("/mcp", headers={"Authorization": f"Bearer {CANARY}"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        tasks.start_soon(status, client, "sk-another-one")
        await anyio.wait_all_tasks_blocked()
        assert len(limit._running) == 2
        release.set()
    assert not limit._running


# --- proxies

FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "mcp.example.com", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize("peer", ["10.0.0.7", "10.0.0.255"])
async def test_a_trusted_proxy_is_believed_about_caller_scheme_and_host(peer: str) -> None:
    app = Noting()
    async with caller_of(TrustedProxies(app, [network("10.0.0.0/24")]), peer) as client:
        await client.post("/mcp", headers=FORWARDED)
    [scope] = app.scopes
    assert Headers(scope=scope)["host"] == "mcp.example.com"
    assert (scope["client"][0], scope["scheme"]) == ("203.0.113.9", "https")


@pytest.mark.parametrize("peer", ["10.0.1.7", "::1", "not an address"])
async def test_nobody_else_is_and_their_headers_go_no_further(peer: str) -> None:
    app = Noting()
    async with caller_of(TrustedProxies(app, [network("10.0.0.0/24")]), peer) as client:
        await client.post("/mcp", headers=FORWARDED)
    [scope] = app.scopes
    assert Headers(scope=scope)["host"] == "127.0.0.1:8000"
    assert scope["client"][0] == peer
    assert not [name for name in Headers(scope=scope) if name.startswith("x-forwarded")]
