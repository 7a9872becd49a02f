"""Event streams through the proxies we ship files for: what is told arrives while the task still runs."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import anyio
import httpx2
import pytest

from tests.http.processes.calls import call, request
from tests.http.processes.conftest import PatientPlatform, both_parsers
from tests.http.processes.process import endpoint
from tests.http.processes.proxy import CADDY, NGINX, caddy, nginx
from tests.waiting import GUARD

Proxy = Callable[[list[int]], AbstractContextManager[str]]


@both_parsers
@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param(nginx, marks=pytest.mark.skipif(NGINX is None, reason="nginx is not installed")),
        pytest.param(caddy, marks=pytest.mark.skipif(CADDY is None, reason="caddy is not installed")),
    ],
)
async def test_progress_passes_a_proxy_while_the_task_runs(proxy: Proxy, cyberun: PatientPlatform, era: str) -> None:
    task_id = f"slow.{proxy.__name__}-{era}"
    wait = request(era, "stream_task_events", {"task_id": task_id, "timeout_seconds": 600}, progressToken="t")
    with endpoint(cyberun.base_url, "--allowed-host", "127.0.0.1") as ours, anyio.fail_after(GUARD):
        port = int(ours.url.rsplit(":", 1)[1])
        with proxy([port, port, port]) as url:
            async with httpx2.AsyncClient(base_url=url, timeout=GUARD) as client:
                assert not (await call(client, era, "list_workflows")).get("isError")
                assert (await client.get("/metrics")).status_code == 404
                async with client.stream("POST", "/mcp", **wait) as answer:
                    lines = answer.aiter_lines()
                    told = [await anext(each async for each in lines if each.startswith("data:")) for _ in range(3)]
                    assert "step" in told[-1]
                    cyberun.release()
                    rest = [each async for each in lines if each.startswith("data:")]
    assert '"task_status":"completed"' in rest[-1]
