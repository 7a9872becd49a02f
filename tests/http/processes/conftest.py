"""A platform on which tasks wait until they are told to go on."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.faults.exchange import Exchange
from tests.faults.platform import FaultyPlatform, Subject, running
from tests.parsers import PARSERS, environment_of


class PatientPlatform(FaultyPlatform):
    """Tasks named `slow.*` complete once `release` has been called; `lame` workflows are answered with a 503 once."""

    def __init__(self) -> None:
        super().__init__({("slow", "events"): self._until_released, ("lame", ""): self._first_a_503})
        self.released = False

    def release(self) -> None:
        self.released = True

    async def dead(self, exchange: Exchange, _: Subject) -> None:
        await exchange.json({"error_message": "invalid key"}, 401)

    async def in_trouble(self, exchange: Exchange, _: Subject) -> None:
        await exchange.json({"error_message": "busy"}, 503)

    async def _until_released(self, exchange: Exchange, subject: Subject) -> None:
        await exchange.open_events()
        step = 0
        while not self.released:
            step += 1
            await exchange.event("progress", progress=0.5, step_current=step, step_total=1000)
            await asyncio.sleep(0.15)
        subject.status = "completed"
        await exchange.event("completed", status="completed", output=subject.output)
        await exchange.end()

    async def _first_a_503(self, exchange: Exchange, subject: Subject) -> None:
        if subject.asked[""] == 1:
            await exchange.json({"error_message": "busy"}, 503)
        else:
            await exchange.json({"id": subject.id, "workflow_slug": subject.id, "parameters": []})


both_parsers = pytest.mark.parametrize("parser", PARSERS, indirect=True)


@pytest.fixture(autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP parser of the endpoints a test starts: each of them with `@both_parsers`, else one for each era."""
    legacy = "era" in request.fixturenames and request.getfixturevalue("era") == "legacy"
    chosen = getattr(request, "param", "h11" if legacy else "httptools")
    for name, value in environment_of(chosen).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def cyberun() -> Iterator[PatientPlatform]:
    platform = PatientPlatform()
    with running(platform):
        try:
            yield platform
        finally:
            platform.release()
