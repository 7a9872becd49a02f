"""Fixtures for every test: the backend, and the two protocol eras."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["legacy", "auto"])
def era(request: pytest.FixtureRequest) -> str:
    """`mode` of the SDK's client: `legacy` sends `initialize`, `auto` speaks 2026-07-28."""
    return str(request.param)
