"""One request in, one answer out, each to its own request: with both parsers, directly and behind real proxies."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import anyio
import httpx2
import pytest

from cyberun_mcp.tools import TOOLS
from tests.http.framing_corpus import ACCEPTED, CHUNKED, DOUBTFUL, LARGEST_HEAD
from tests.http.processes.calls import KEY, call, request
from tests.http.processes.conftest import PatientPlatform
from tests.http.processes.process import Endpoint, endpoint
from tests.http.processes.proxy import CADDY, NGINX, caddy, nginx
from tests.http.processes.raw import Answer, answers_in, until_closed
from tests.parsers import PARSERS, environment_of

LAST = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
ALIVE = Answer(200, b"alive\n")


def rpc(name: str) -> bytes:
    """A call whose answer repeats this name."""
    return json.dumps(
        {"jsonrpc": "2.0", "id": name, "method": "tools/call", "params": {"name": name, "arguments": {}}}
    ).encode()


def post(headers: bytes, body: bytes, path: bytes = b"/mcp") -> bytes:
    return (
        b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
        b"Accept: application/json, text/event-stream\r\n%s\r\n%s" % (path, KEY.encode(), headers, body)
    )


SMUGGLED = post(b"Content-Length: %d\r\n" % len(rpc("smuggled")), rpc("smuggled"))
LENGTH = b"Content-Length: %d\r\n" % len(SMUGGLED)
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
UPGRADES = (
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    b"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    b"Upgrade: h2c\r\n",
    b"Connection: upgrade\r\n",
)

# Each hides a request in its body, which is no request to anybody; the answer to it would say "smuggled".
ONE_REQUEST = {
    **{f"an upgrade {number}": post(upgrade + LENGTH, SMUGGLED) for number, upgrade in enumerate(UPGRADES)},
    **{f"an upgrade {number}, chunked": post(each + CHUNKED, CHUNKS) for number, each in enumerate(UPGRADES)},
    "a plain body": post(LENGTH, SMUGGLED),
    "a chunked body": post(CHUNKED, CHUNKS),
    "a body after a 100": post(b"Expect: 100-continue\r\n" + LENGTH, SMUGGLED),
    "a body nobody wants": post(LENGTH, SMUGGLED, path=b"/nowhere"),
}
# What may be taken for one request or for two, depending on who reads it.
IN_DOUBT = {
    "a length and a coding": post(LENGTH + CHUNKED, CHUNKS),
    "a coding and a length": post(CHUNKED + b"Content-Length: 3\r\n", CHUNKS),
    "two lengths": post(b"Content-Length: 0\r\n" + LENGTH, SMUGGLED),
    "two lengths, the other way": post(LENGTH + b"Content-Length: 0\r\n", SMUGGLED),
    "a folded length": post(b"Content-Length:\r\n %d\r\n" % len(SMUGGLED), SMUGGLED),
    "a length after a line feed": post(b"X: a\n" + LENGTH, SMUGGLED),
    "a length with a blank": post(b"Content-Length : %d\r\n" % len(SMUGGLED), SMUGGLED),
    "a signed length": post(b"Content-Length: +%d\r\n" % len(SMUGGLED), SMUGGLED),
    "an odd coding": post(b"Transfer-Encoding: xchunked\r\n", CHUNKS),
    "an odd coding and a length": post(b"Transfer-Encoding : chunked\r\n" + LENGTH, SMUGGLED),
    "a coding after a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n" + LENGTH, SMUGGLED),
    "two codings": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKS),
    "an odd chunk size": post(CHUNKED, b"0x%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
    "a chunk extension": post(CHUNKED, b"1;\n%s\r\na\r\n0\r\n\r\n" % SMUGGLED),
    "a trailer": post(CHUNKED, b"0\r\nX: a\r\n" + SMUGGLED),
    "two hosts": post(b"Host: elsewhere\r\n" + LENGTH, SMUGGLED),
    **{name: odd.replace(b"Host: a\r\n", b"Host: 127.0.0.1\r\n") + SMUGGLED for name, odd in DOUBTFUL.items()},
}


def cuts(stream: bytes) -> list[tuple[bytes, ...]]:
    """The same bytes at once, the body after the head, and in three segments with a cut in either."""
    head = stream.find(b"\r\n\r\n") + 4
    middle, later = head // 2, head + (len(stream) - head) // 2
    return [
        (stream,),
        (stream[:head], stream[head:]),
        (stream[:middle], stream[middle:later], stream[later:]),
    ]


def serving(
    http_parser: str, *flags: str, base_url: str = "http://127.0.0.1:9/api/v1"
) -> AbstractContextManager[Endpoint]:
    """An endpoint that uses this parser, before a platform that few of these tests reach."""
    environment: Any = environment_of(http_parser)
    return endpoint(base_url, *flags, **environment)


@pytest.fixture(scope="module", params=PARSERS)
def http_parser(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def ours(http_parser: str) -> Iterator[Endpoint]:
    with serving(http_parser, "--max-headers", str(LARGEST_HEAD / 1024)) as started:
        yield started


@pytest.mark.parametrize("odd", ONE_REQUEST.values(), ids=ONE_REQUEST)
def test_a_request_however_it_comes_has_one_answer_and_then_comes_the_next_ones(ours: Endpoint, odd: bytes) -> None:
    for segments in cuts(odd):
        *answers, last = answers_in(until_closed(ours.url, *segments, LAST))
        assert len(answers) == 1
        assert b"smuggled" not in answers[0].body
        assert last == ALIVE


@pytest.mark.parametrize("odd", IN_DOUBT.values(), ids=IN_DOUBT)
def test_a_request_in_doubt_is_answered_once_and_the_connection_closed(ours: Endpoint, odd: bytes) -> None:
    for segments in cuts(odd):
        [answer] = answers_in(until_closed(ours.url, *segments, LAST))
        assert 400 <= answer.status < 600
        assert len(answer.body) < 200


@pytest.mark.parametrize("accepted", [stream for stream, _ in ACCEPTED.values()], ids=ACCEPTED)
def test_a_request_that_is_odd_but_clear_is_answered_as_any_other(ours: Endpoint, accepted: bytes) -> None:
    headers, _, _ = post(b"", b"").removeprefix(b"POST /mcp HTTP/1.1\r\n").partition(b"\r\n\r\n")
    odd = accepted.replace(b"Host: a", headers).replace(b"//A/", b"//127.0.0.1/")
    for segments in cuts(odd):
        answers = answers_in(until_closed(ours.url, *segments, LAST))
        ends_itself = b"HTTP/1.0" in odd or b"Close" in odd
        assert [each.status for each in answers] == ([200] if b"/livez" in odd else [400]) + [200] * (not ends_itself)


def test_pipelined_requests_are_answered_in_their_order(ours: Endpoint) -> None:
    names = [f"name{number}" for number in range(20)]
    stream = b"".join(
        post(b"Content-Length: %d\r\n" % len(rpc(name)), rpc(name))
        if number % 2
        else post(
            b"Upgrade: h2c\r\nConnection: Upgrade\r\n" + CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(rpc(name)), rpc(name))
        )
        for number, name in enumerate(names)
    )
    for segments in ((stream,), tuple(stream[at : at + 1_000] for at in range(0, len(stream), 1_000))):
        *answers, last = answers_in(until_closed(ours.url, *segments, LAST))
        assert [json.loads(each.body)["id"] for each in answers] == names
        assert last == ALIVE


def test_a_client_that_offers_h2c_is_served_over_http_1(ours: Endpoint) -> None:
    """As the HTTP clients of Java do for every request over plain http."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    offer = UPGRADES[1] + b"Content-Length: %d\r\n" % len(body)
    for segments in cuts(post(offer, body)):
        listed, last = answers_in(until_closed(ours.url, *segments, LAST))
        assert len(json.loads(listed.body)["result"]["tools"]) == len(TOOLS)
        assert last == ALIVE


def test_a_final_answer_instead_of_a_100_ends_the_connection(ours: Endpoint) -> None:
    """Nobody can tell whether the client still sends its body: what comes next is not taken for a request."""
    refused = post(b"Expect: 100-continue\r\n" + LENGTH, b"", path=b"/nowhere")
    [answer] = answers_in(until_closed(ours.url, refused, SMUGGLED))
    assert answer.status == 404


PROXIES = [
    pytest.param(nginx, marks=pytest.mark.skipif(NGINX is None, reason="nginx is not installed")),
    pytest.param(caddy, marks=pytest.mark.skipif(CADDY is None, reason="caddy is not installed")),
]


@pytest.mark.parametrize("proxy", PROXIES)
async def test_behind_a_proxy_nobody_gets_anothers_answer(
    proxy: Any, http_parser: str, cyberun: PatientPlatform
) -> None:
    done = False
    answered = 0

    async def neighbour(number: int, url: str) -> None:
        """Calls as other callers do, whose requests share the proxy's connections with the attacker's."""
        nonlocal answered
        async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
            count = 0
            while not done:
                name = f"neighbour{number}.{count}"
                body = json.loads(rpc(name))
                headers = request("legacy", "any")["headers"]
                answer = await client.post("/mcp", json=body, headers=headers)
                assert answer.json()["id"] == name
                assert name in answer.json()["error"]["message"]
                count += 1
            answered += count

    def attack(url: str, stream: bytes) -> None:
        for segments in cuts(stream):
            received = until_closed(url, *segments, LAST)
            assert b"neighbour" not in received
            if stream in ONE_REQUEST.values():  # others a proxy may take for several, and have each of them answered
                assert len(answers_in(received)) == 2
                assert b"smuggled" not in received

    with serving(http_parser, "--allowed-host", "127.0.0.1", base_url=cyberun.base_url) as ours, anyio.fail_after(300):
        port = int(ours.url.rsplit(":", 1)[1])
        with proxy([port, port, port]) as url:
            async with anyio.create_task_group() as neighbours:
                for number in range(4):
                    neighbours.start_soon(neighbour, number, url)
                for stream in [*ONE_REQUEST.values(), *IN_DOUBT.values()]:
                    await anyio.to_thread.run_sync(attack, url, stream)
                done = True
            assert answered
            async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
                assert not (await call(client, "auto", "list_workflows")).get("isError")


@pytest.mark.parametrize("proxy", PROXIES)
def test_through_a_proxy_a_client_that_offers_h2c_is_served(
    proxy: Any, http_parser: str, cyberun: PatientPlatform
) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    with serving(http_parser, "--allowed-host", "127.0.0.1", base_url=cyberun.base_url) as ours:
        port = int(ours.url.rsplit(":", 1)[1])
        with proxy([port, port, port]) as url:
            offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n" % len(body)
            for segments in cuts(post(offer, body)):
                listed, _ = answers_in(until_closed(url, *segments, LAST))
                assert len(json.loads(listed.body)["result"]["tools"]) == len(TOOLS)
