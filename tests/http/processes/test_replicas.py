"""Three replicas behind a real nginx, stopped, killed and restarted under load, with callers of both eras."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx2
import pytest

from tests.faults.exchange import Exchange
from tests.faults.platform import Subject
from tests.http.processes.calls import KEY, call, request
from tests.http.processes.conftest import PatientPlatform, both_parsers
from tests.http.processes.process import Endpoint, endpoint
from tests.http.processes.proxy import NGINX, free_ports, nginx
from tests.waiting import GUARD, until

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx-light)")

CALLERS = [f"{era} {number}" for era in ("legacy", "auto") for number in range(3)]
HOSTS = ("--allowed-host", "127.0.0.1", "--trusted-proxy", "127.0.0.1")


@dataclass
class Load:
    """What came of the calls of all callers, and how many rounds of calls each has made."""

    answered: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    rounds: Counter[str] = field(default_factory=Counter)
    stopped: bool = False

    async def call_on_and_on(self, url: str, era: str, number: str) -> None:
        async with httpx2.AsyncClient(base_url=url, timeout=GUARD) as client:
            while not self.stopped:
                arguments = {"task_id": f"short.{era}{number}", "timeout_seconds": 600}
                await self._one(client, era, "list_workflows", {})
                await self._one(client, era, "stream_task_events", arguments)
                self.rounds[f"{era} {number}"] += 1

    async def go_on(self, rounds: int = 2) -> None:
        """Until each caller has made one whole round of calls, whatever it was at when this began."""
        before = Counter(self.rounds)
        await until(lambda: all(self.rounds[each] >= before[each] + rounds for each in CALLERS))

    async def _one(self, client: httpx2.AsyncClient, era: str, tool: str, arguments: dict[str, object]) -> None:
        try:
            result = await call(client, era, tool, arguments, progressToken="t")
        except Exception as error:
            self.lost.append(f"{era} {tool}: {error!r}")
        else:
            assert not result.get("isError"), result
            self.answered[f"{era} {tool}"] += 1


async def short(exchange: Exchange, subject: Subject) -> None:
    """A task of a third of a second, always the first time."""
    await exchange.open_events()
    for step in (1, 2):
        await exchange.event("progress", progress=step / 3, step_current=step, step_total=3)
        await asyncio.sleep(0.15)
    await exchange.event("completed", status="completed", output=subject.output)
    await exchange.end()


class Replicas:
    """Three endpoints, each at its own port."""

    def __init__(self, base_url: str, stack: AsyncExitStack) -> None:
        self.ports = free_ports(3)
        self._base_url = base_url
        self._stack = stack
        self.running: list[Endpoint] = []

    async def start(self, port: int) -> Endpoint:
        ours = await anyio.to_thread.run_sync(
            self._stack.enter_context, endpoint(self._base_url, *HOSTS, "--port", str(port))
        )
        self.running.append(ours)
        return ours

    async def start_all(self) -> None:
        async with anyio.create_task_group() as tasks:
            for port in self.ports:
                tasks.start_soon(self.start, port)


@asynccontextmanager
async def served(cyberun: PatientPlatform) -> AsyncIterator[tuple[Replicas, str]]:
    cyberun.scripts["short", "events"] = short
    async with AsyncExitStack() as stack:
        replicas = Replicas(cyberun.base_url, stack)
        await replicas.start_all()
        yield replicas, stack.enter_context(nginx(replicas.ports))


@asynccontextmanager
async def under_load(url: str) -> AsyncIterator[Load]:
    load = Load()
    async with anyio.create_task_group() as tasks:
        for caller in CALLERS:
            era, number = caller.split()
            tasks.start_soon(load.call_on_and_on, url, era, number)
        yield load
        await load.go_on()
        load.stopped = True
    for era in ("legacy", "auto"):
        assert load.answered[f"{era} list_workflows"] >= 3
        assert load.answered[f"{era} stream_task_events"] >= 3


@both_parsers
async def test_restarts_under_load_lose_no_call_and_a_kill_only_those_it_interrupts(cyberun: PatientPlatform) -> None:
    async with served(cyberun) as (replicas, url):
        async with under_load(url) as load:
            for ours in tuple(replicas.running):
                ours.signal(signal.SIGTERM)
                status = await anyio.to_thread.run_sync(ours.ended)
                assert status == 0
                await load.go_on()
                await replicas.start(int(ours.url.rpartition(":")[2]))
        assert load.lost == []

        async with under_load(url) as load:
            await load.go_on()
            ours = replicas.running[-1]
            ours.signal(signal.SIGKILL)
            await load.go_on()
            lost_at_once = list(load.lost)
            await replicas.start(int(ours.url.rpartition(":")[2]))
        assert load.lost == lost_at_once
        assert len(lost_at_once) <= len(CALLERS)
        assert not [each for each in lost_at_once if "session" in each.lower()]


async def test_progress_arrives_through_the_proxy_while_the_task_runs(cyberun: PatientPlatform, era: str) -> None:
    [port] = free_ports(1)
    with endpoint(cyberun.base_url, *HOSTS, "--port", str(port)), nginx([port]) as url:
        sent = request(era, "stream_task_events", {"task_id": f"slow.{era}", "timeout_seconds": 600}, progressToken="t")
        async with (
            httpx2.AsyncClient(base_url=url, timeout=GUARD, headers={"Authorization": KEY}) as client,
            client.stream("POST", "/mcp", **sent) as answer,
        ):
            lines = answer.aiter_lines()
            async for line in lines:
                if "notifications/progress" in line:
                    break
            cyberun.release()
            rest = [line async for line in lines]
        assert any('"task_status":"completed"' in line for line in rest)
        async with httpx2.AsyncClient(base_url=url) as client:
            for path in ("/livez", "/readyz", "/metrics"):
                assert (await client.get(path)).status_code == 404
