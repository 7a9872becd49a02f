"""One play of all scenes, over stdio and HTTP, in both eras."""

import functools

import anyio
import pytest

from tests.faults.platform import FaultyPlatform, running
from tests.faults.stage import CHANNELS, Outcome, Scene, http_server, play


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> dict[str, dict[str, Outcome]]:
    functions = [item.function for item in request.session.items if isinstance(item, pytest.Function)]
    scenes: list[Scene] = list({each: each.scene for each in functions if hasattr(each, "scene")}.values())
    platform = FaultyPlatform({(each.fault, part): script for each in scenes for part, script in each.scripts.items()})
    with running(platform), http_server(platform.base_url) as endpoint:
        return anyio.run(functools.partial(play, scenes, platform, endpoint))


@pytest.fixture(params=CHANNELS)
def outcome(request: pytest.FixtureRequest, outcomes: dict[str, dict[str, Outcome]]) -> Outcome:
    """What came of the test's `@scene`, over each channel."""
    return outcomes[request.param][request.function.scene.fault]
