"""An event loop whose clock jumps to the next timer: an hour of waiting takes no time, and times are exact."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

Result = TypeVar("Result")


class _JumpingSelector(selectors.DefaultSelector):
    """Sets the clock forward where the loop would sleep until its next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        ready = super().select(0)
        if ready or timeout is None:
            return ready or super().select(timeout)
        self.now += max(0.0, timeout)
        return ready


class VirtualClock(asyncio.SelectorEventLoop):
    """Time stands still while any task can run. Only for code without network connections and threads.

    A pipe with both ends in this loop works: written bytes can be read at once.
    """

    def __init__(self) -> None:
        self._selector_clock = _JumpingSelector()
        super().__init__(self._selector_clock)

    def time(self) -> float:
        return self._selector_clock.now

    def hold_up(self, seconds: float) -> None:
        """Let `seconds` pass, as if a computation had blocked the loop."""
        self._selector_clock.now += seconds


def run_at_once(program: Callable[[], Awaitable[Result]]) -> Result:
    """The result of an async program, on a virtual clock that starts at 0."""
    return anyio.run(program, backend_options={"loop_factory": VirtualClock})
