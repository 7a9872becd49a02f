"""One play of all scenes, over every channel; and scenes on a virtual clock."""

import anyio
import pytest

from tests.faults.platform import FaultyPlatform, running
from tests.faults.stage import CHANNELS, Outcome, Scene, http_servers, play
from tests.faults.virtual import played_at_once
from tests.waiting import until


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> dict[str, dict[str, Outcome]]:
    functions = [
        item.function
        for item in request.session.items
        if isinstance(item, pytest.Function) and "outcome" in item.fixturenames
    ]
    scenes: list[Scene] = list({each: each.scene for each in functions}.values())
    platform = FaultyPlatform({key: script for each in scenes for key, script in each.keyed_scripts.items()})
    with running(platform):
        with http_servers(platform, {each.limits for each in scenes}) as endpoints:
            outcomes = anyio.run(play, scenes, platform, endpoints)
        # All servers have ended. The platform is to notice it, since tests look at which connections were hung up.
        anyio.run(until, lambda: platform.connections == 0)
    return outcomes


@pytest.fixture(params=CHANNELS)
def outcome(request: pytest.FixtureRequest, outcomes: dict[str, dict[str, Outcome]]) -> Outcome:
    """What came of the test's `@scene`, over each channel."""
    return outcomes[request.param][request.function.scene.fault]


@pytest.fixture
def timed(request: pytest.FixtureRequest, era: str) -> Outcome:
    """What came of the test's `@scene` in one process, in each era, on a virtual clock: all its times are exact."""
    return played_at_once(request.function.scene, era)
