"""Instances of services: started, reachable, healthy or not."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx2

from cyberun_mcp.emulator.containers.services import Serve, Service
from cyberun_mcp.emulator.seed import Team
from cyberun_mcp.emulator.serving import bound_socket, origin_of

_HEALTH_SECONDS = 1.0
"""How long the answer to a health check is taken for true."""


@dataclass
class Instance:
    """One running copy of a service."""

    origin: str
    health_path: str
    _healthy: bool = False
    _checked_at: float = float("-inf")

    async def is_healthy(self, client: httpx2.AsyncClient) -> bool:
        """What its health check says, now or just before."""
        if time.monotonic() - self._checked_at > _HEALTH_SECONDS:
            try:
                self._healthy = (await client.get(self.origin + self.health_path)).is_success
            except httpx2.HTTPError:
                self._healthy = False
            self._checked_at = time.monotonic()
        return self._healthy


@asynccontextmanager
async def running_instances(teams: Mapping[str, Team]) -> AsyncIterator[dict[str, Instance]]:
    """Run one instance of each service that is not stopped; they are found by the service's id."""
    async with AsyncExitStack() as stack:
        yield {
            named.id: await _start(service, service.serve, stack)
            for team in teams.values()
            for named, service in team.services
            if service.serve
        }


async def _start(service: Service, serve: Serve, stack: AsyncExitStack) -> Instance:
    listening = stack.enter_context(bound_socket("127.0.0.1", 0))
    await stack.enter_async_context(serve(listening))
    return Instance(origin_of(listening), service.health_path)
