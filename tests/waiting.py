"""Waiting in tests: for what is seen to happen, never for a time to pass."""

import time
from collections.abc import Callable

import anyio

GUARD = 60.0  # seconds after which what a test waits for will never come; no test is about it


async def until(condition: Callable[[], bool], seconds: float = GUARD) -> None:
    """Wait for something that another process or thread does."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - nobody over there could set an event of ours
            await anyio.sleep(0.01)


def wait_until(condition: Callable[[], bool], seconds: float = GUARD) -> None:
    """The same, where nothing is async."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
