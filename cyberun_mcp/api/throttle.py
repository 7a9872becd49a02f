"""Backpressure: waits read their events less often when one process has more waits than it can keep up with.

One read costs the same whether it brings one event or ten, and only the newest state is passed on. So a process that
falls behind pauses between reads: progress arrives later, but other calls are answered and no wait misses the end of
its task. A process that keeps up has a pause of 0.
"""

import anyio

TICK = 0.25  # seconds between two measurements
LATE = 0.1  # seconds; when one turn of the event loop takes this long, every call notices
ON_TIME = 0.03  # seconds; below this there is spare capacity
SHORTEST_PAUSE, LONGEST_PAUSE = 0.25, 3.0  # seconds
GROWTH, DECAY = 1.25, 0.95  # factors for the pause at each tick: when late, when on time
BACKLOG = 0.5  # seconds after a pause in which events are taken for the backlog; turns of a late loop are shorter


class Throttle:
    """`pause` is how long, in seconds, a reader sleeps before it reads on."""

    def __init__(self) -> None:
        self.pause = 0.0

    async def monitor(self) -> None:
        """Measure how late the event loop is, and adjust the pause. Never returns."""
        while True:
            due = anyio.current_time() + TICK
            await anyio.sleep_until(due)
            self.adjust(anyio.current_time() - due)

    def adjust(self, lateness: float) -> None:
        """Lengthen the pause when the loop is late, shorten it when there is spare capacity."""
        if lateness > LATE:
            self.pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, self.pause * GROWTH))
        elif lateness < ON_TIME:
            self.pause = self.pause * DECAY if self.pause > SHORTEST_PAUSE else 0.0
