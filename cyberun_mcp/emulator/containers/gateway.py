"""The gateway: runs an instance of each container service and forwards requests to it."""

import time
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx2

from cyberun_mcp.emulator.containers.services import Serve, ServiceDefinition
from cyberun_mcp.emulator.database import Registration
from cyberun_mcp.emulator.errors import RequestRejected
from cyberun_mcp.emulator.http_server import bound_socket, origin_of
from cyberun_mcp.emulator.seed import Team

Headers = Sequence[tuple[str, str]]

_HEALTH_CHECK_SECONDS = 1.0
"""How long the result of a health check is reused."""

# RFC 9110, section 7.6.1.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_FORWARDED = _HOP_BY_HOP | {"authorization", "host", "x-team-id"}


@dataclass
class ServiceInstance:
    """One running HTTP server of a service."""

    origin: str
    health_path: str
    _healthy: bool = False
    _checked_at: float = float("-inf")

    async def is_healthy(self, client: httpx2.AsyncClient) -> bool:
        """The result of its health check, which is at most a second old."""
        if time.monotonic() - self._checked_at > _HEALTH_CHECK_SECONDS:
            try:
                self._healthy = (await client.get(self.origin + self.health_path)).is_success
            except httpx2.HTTPError:
                self._healthy = False
            self._checked_at = time.monotonic()
        return self._healthy


class ContainerGateway:
    """Forwards requests to instances. The credential of the caller is never forwarded."""

    def __init__(self, client: httpx2.AsyncClient, instances: Mapping[str, ServiceInstance]) -> None:
        """`instances` has the running instances by service id."""
        self._client = client
        self._instances = instances

    async def send(
        self,
        registration: Registration,
        service: ServiceDefinition,
        *,
        method: str,
        target: bytes,
        headers: Headers,
        content: bytes | AsyncIterable[bytes] | None,
    ) -> httpx2.Response:
        """Send a request to the service. The caller reads the body of the response and closes it.

        Raises `RequestRejected`: 400 for a stopped service, 502 if it does not respond, 503 if it is not healthy.
        """
        instance = await self._healthy_instance(registration, service)
        # Not built by the client, which would add headers of its own.
        request = httpx2.Request(
            method,
            httpx2.URL(instance.origin).copy_with(raw_path=target),
            headers=[(name, value) for name, value in headers if name.lower() not in _NOT_FORWARDED],
            content=content,
        )
        try:
            return await self._client.send(request, stream=True)
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise RequestRejected(502, f"service {service.slug} did not answer: {reason}") from error

    async def _healthy_instance(self, registration: Registration, service: ServiceDefinition) -> ServiceInstance:
        if service.status != "running":
            raise RequestRejected(400, f"service {service.slug} is not running (status: {service.status})")
        instance = self._instances[registration.id]
        if not await instance.is_healthy(self._client):
            raise RequestRejected(503, f"service {service.slug} is running but has no healthy instance")
        return instance


def end_to_end_headers(headers: Headers) -> list[tuple[str, str]]:
    """The headers of a service's response that the gateway returns to the caller."""
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]


@asynccontextmanager
async def running_instances(teams: Mapping[str, Team]) -> AsyncIterator[dict[str, ServiceInstance]]:
    """Run an instance of every service that is not stopped. They are keyed by service id, as each team has its own."""
    async with AsyncExitStack() as stack:
        yield {
            registration.id: await _start_instance(service, service.serve, stack)
            for team in teams.values()
            for registration, service in team.services
            if service.serve
        }


async def _start_instance(service: ServiceDefinition, serve: Serve, stack: AsyncExitStack) -> ServiceInstance:
    listening = stack.enter_context(bound_socket("127.0.0.1", 0))
    await stack.enter_async_context(serve(listening))
    return ServiceInstance(origin_of(listening), service.health_path)
