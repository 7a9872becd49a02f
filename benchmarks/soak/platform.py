"""A platform that fails one request in twenty, each in a way of its own."""

import asyncio
import random
from collections import Counter

from tests.faults.exchange import Exchange
from tests.faults.platform import FaultyPlatform, Subject

FAULTS = 0.05  # of all requests
OUTPUT = {"storage_key": "tasks/1/output.png", "image_count": 1}


class Unreliable(FaultyPlatform):
    """Answers as documented, but for the faults; `faults` counts them by kind. `seed` makes a run repeatable."""

    def __init__(self, seed: int) -> None:
        super().__init__({})
        self.faults: Counter[str] = Counter()
        self._random = random.Random(seed)  # noqa: S311 - faults need no secrets

    async def respond(self, exchange: Exchange, subject: Subject, part: str) -> None:
        if part == "run":
            await self._run(exchange, subject)
        elif part == "events":
            await self._events(exchange, subject)
        elif self._random.random() < FAULTS:
            await self._fail(exchange)
        else:
            await self.as_documented(exchange, subject)

    async def _fail(self, exchange: Exchange) -> None:
        kind = self._random.choice(["cut", "503", "500", "429", "bad gateway"])
        self.faults[kind] += 1
        match kind:
            case "cut":
                exchange.drop()
            case "429":
                await exchange.json({"error_message": "slow down"}, 429, {"Retry-After": "0"})
            case "bad gateway":
                await exchange.text("<h1>Bad Gateway</h1>", "text/html", 502)
            case status:
                await exchange.json({"error_message": "trouble"}, int(status))

    async def _run(self, exchange: Exchange, subject: Subject) -> None:
        if self._random.random() >= FAULTS:
            await self.as_documented(exchange, subject)
            return
        kind = self._random.choice(["lost run", "run lost on its way back", "run answered 502"])
        self.faults[kind] += 1
        if kind != "lost run":
            self.accept_run(subject.id)
        if kind == "run answered 502":
            await exchange.text("<h1>Bad Gateway</h1>", "text/html", 502)
        else:
            exchange.drop()

    async def _events(self, exchange: Exchange, subject: Subject) -> None:
        if self._random.random() < FAULTS:
            await self._fail(exchange)
            return
        await exchange.open_events()
        for step in range(subject.steps, 10):
            subject.steps = step
            await exchange.event("progress", progress=step / 10, step_current=step, step_total=10)
            if self._random.random() < FAULTS:
                self.faults["stream cut"] += 1
                await exchange.piece(b"event: progress\ndata: {")
                exchange.drop()
            await asyncio.sleep(0.02)
        subject.status, subject.output = "completed", OUTPUT
        await exchange.event("completed", status="completed", output=OUTPUT)
        await exchange.end()
