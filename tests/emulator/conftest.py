"""One emulator per test module, and clients with its credentials."""

import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from cyberun_mcp.emulator import Emulator, emulator
from cyberun_mcp.emulator.database import Database

from .platform_client import TIMEOUT, PlatformClient

Connect = Callable[[str], AbstractAsyncContextManager[PlatformClient]]


@asynccontextmanager
async def connected(base_url: str, key: str) -> AsyncIterator[PlatformClient]:
    """A client that sends this key."""
    async with httpx2.AsyncClient(
        base_url=base_url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=TIMEOUT
    ) as http:
        yield PlatformClient(http)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of the module's emulator."""
    return tmp_path_factory.mktemp("emulator")


@pytest.fixture(scope="module")
def storage_secret(data: Path) -> str:
    """The secret that signs the emulator's URLs. Read before the emulator locks the file."""
    database = Database(data / "emulator.sqlite3")
    try:
        return database.teams.signing_secret()
    finally:
        database.close()


@pytest.fixture(scope="module")
async def platform(anyio_backend: str, data: Path, storage_secret: str) -> AsyncIterator[Emulator]:
    """A running emulator."""
    async with emulator(data=data) as running:
        yield running


@pytest.fixture(scope="module")
async def member(platform: Emulator) -> AsyncIterator[PlatformClient]:
    """A client with the integration key of the main team."""
    async with connected(platform.base_url, platform.api_key) as client:
        yield client


@pytest.fixture(scope="module")
async def viewer(platform: Emulator) -> AsyncIterator[PlatformClient]:
    """A client with the key of a viewer in the main team."""
    async with connected(platform.base_url, platform.viewer_key) as client:
        yield client


@pytest.fixture(scope="module")
async def other_team(platform: Emulator) -> AsyncIterator[PlatformClient]:
    """A client with the integration key of the other team."""
    async with connected(platform.base_url, platform.other_team_key) as client:
        yield client


@pytest.fixture(scope="session")
def png() -> bytes:
    """An image to upload: dark on the left, bright on the right."""
    picture = Image.linear_gradient("L").rotate(90).resize((96, 64)).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
