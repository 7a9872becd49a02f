"""The gateway: from a service's slug to an answer of one of its instances."""

from collections.abc import AsyncIterable, Mapping, Sequence

import httpx2

from cyberun_mcp.emulator.containers.running import Instance
from cyberun_mcp.emulator.containers.services import Service
from cyberun_mcp.emulator.database import Registration
from cyberun_mcp.emulator.errors import RequestRejected

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
_NEVER_FORWARDED = _HOP_BY_HOP | {"authorization", "host", "x-team-id"}

Headers = Sequence[tuple[str, str]]


class Gateway:
    """Passes requests on. The caller's credential never gets through."""

    def __init__(self, client: httpx2.AsyncClient, instances: Mapping[str, Instance]) -> None:
        self._client = client
        self._instances = instances

    async def send(
        self,
        named: Registration,
        service: Service,
        *,
        method: str,
        target: bytes,
        headers: Headers,
        content: bytes | AsyncIterable[bytes] | None,
    ) -> httpx2.Response:
        """Send one request to the service; the answer's body is still to be read, and the answer to be closed."""
        instance = await self._healthy_instance(named, service)
        # Built by hand: the client would add headers of its own.
        request = httpx2.Request(
            method,
            httpx2.URL(instance.origin).copy_with(raw_path=target),
            headers=[(name, value) for name, value in headers if name.lower() not in _NEVER_FORWARDED],
            content=content,
        )
        try:
            return await self._client.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise RequestRejected(
                502, f"service {service.slug} did not answer: {error or type(error).__name__}"
            ) from error

    async def _healthy_instance(self, named: Registration, service: Service) -> Instance:
        if service.status != "running":
            raise RequestRejected(400, f"service {service.slug} is not running (status: {service.status})")
        instance = self._instances[named.id]
        if not await instance.is_healthy(self._client):
            raise RequestRejected(503, f"service {service.slug} is running but has no healthy instance")
        return instance


def relayed(headers: Headers) -> list[tuple[str, str]]:
    """The headers of an answer that may be passed back."""
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
