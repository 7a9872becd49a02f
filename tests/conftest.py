"""Fixtures for every test: the backend, the two protocol eras, and a server with a fake platform behind it."""

from collections.abc import AsyncIterator
from functools import cache

import hypothesis
import pytest
from mcp import Client
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.fake_platform import FakePlatform, connected

# A busy machine takes as long as it takes for an example, and for finding one.
hypothesis.settings.register_profile(
    "without a clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("without a clock")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Share the suite out between processes by file, for its fixtures; all scenes go to one, being played at once."""

    @cache
    def plays_scenes(file: str) -> bool:
        return file.startswith("tests/faults/") and "(outcome: Outcome)" in (config.rootpath / file).read_text("utf-8")

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "scenes" if plays_scenes(file) else file

    return ByFile(config, log)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["legacy", "auto"])
def era(request: pytest.FixtureRequest) -> str:
    """`mode` of the SDK's client: `legacy` sends `initialize`, `auto` speaks 2026-07-28."""
    return str(request.param)


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


@pytest.fixture
async def client(platform: FakePlatform, era: str) -> AsyncIterator[Client]:
    """Our server's client, in each era, with `platform` behind the server."""
    async with connected(platform, era) as connection:
        yield connection
