"""The remotes that the bridge tests share."""

from collections.abc import Iterator

import pytest

from tests.bridge.remotes import SdkRemote


@pytest.fixture(scope="session")
def stateless() -> Iterator[SdkRemote]:
    remote = SdkRemote("stateless")
    yield remote
    remote.kill()


@pytest.fixture(scope="session")
def stateful() -> Iterator[SdkRemote]:
    remote = SdkRemote("stateful")
    yield remote
    remote.kill()


@pytest.fixture(params=["2025 stateful", "2025 stateless", "2026"])
def mode(request: pytest.FixtureRequest) -> str:
    """The three combinations of era and session that the SDK supports."""
    return str(request.param)


@pytest.fixture
def sdk_remote(mode: str, request: pytest.FixtureRequest) -> SdkRemote:
    remote: SdkRemote = request.getfixturevalue("stateful" if mode == "2025 stateful" else "stateless")
    return remote


@pytest.fixture
def call_era(mode: str) -> str:
    """The `era` argument of `call` for this mode."""
    return "auto" if mode == "2026" else "legacy"
