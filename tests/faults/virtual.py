"""Scenes in one process, on a clock that jumps and over connections in memory: here every time is exact.

The tools, the client of the platform, its time limits and the HTTP library are the real ones, and the scripts are those
of the scenes over real sockets. Only the network below the HTTP library is replaced.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from mcp import Client

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings
from tests.faults.platform import FaultyPlatform
from tests.faults.stage import HASTY, KEY, Limits, Outcome, Scene, call
from tests.memory_network import MemoryNetwork, MemoryPool
from tests.properties.virtual_clock import run_at_once


def played_at_once(scene: Scene, era: str) -> Outcome:
    """What came of one scene on a clock of its own that began at 0."""
    platform = FaultyPlatform(scene.keyed_scripts)

    async def play() -> Outcome:
        async with connected_in_memory(platform, era, scene.limits) as client:
            return await call(client, platform, f"{scene.fault}.{era}", scene.tool, scene.arguments)

    return run_at_once(play)


@asynccontextmanager
async def connected_in_memory(
    platform: FaultyPlatform, era: str, limits: Limits = HASTY, opens_at: float = 0
) -> AsyncIterator[Client]:
    """A client of our server, with the platform behind it, which refuses connections until `opens_at`."""
    network = MemoryNetwork(platform.serve, opens_at)
    settings = Settings(api_key=KEY, base_url="http://platform.test/api/v1", **asdict(limits))
    server = build_server(settings, lambda _: credential_from(KEY), transport=MemoryPool(network))
    async with Client(server, mode=era, cache=None) as client:
        yield client
    await network.ended()
