"""Fixtures for every test: the backend, the two protocol eras, and a server with a fake platform behind it."""

from collections.abc import AsyncIterator

import pytest
from mcp import Client

from tests.fake_platform import FakePlatform, connected


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell parallel runs what belongs together: a file, for its fixtures; all faults, since they are played at once."""
    for item in items:
        group = "faults" if "faults" in item.path.parts else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


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
