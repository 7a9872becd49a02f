"""How often waits read their events, when there are more of them than one process can follow.

A read costs the same whether it brings one event or ten, and only the newest state is passed on anyway. So a process
that falls behind reads less often: progress comes later, but other calls are answered, and no wait drifts away from its
task. At rest 0, where it keeps up, nothing is held back.
"""

import anyio

TICK = 0.25  # seconds between two looks at the clock
LATE = 0.1  # seconds; a turn of the event loop that takes so long is felt by every call
ON_TIME = 0.03  # seconds; below this there is room for more
SHORTEST, LONGEST = 0.25, 3.0  # seconds of rest
LONGER, SHORTER = 1.25, 0.95  # a rest's growth when late and its decline on time, at each tick
AT_ONCE = 0.5  # seconds after a rest in which events are those that had piled up; turns of a late loop are shorter


class Pace:
    """`rest` is how long, in seconds, a reader sleeps before it reads on."""

    def __init__(self) -> None:
        self.rest = 0.0

    async def keep(self) -> None:
        """Watch how late this process is, for ever."""
        while True:
            due = anyio.current_time() + TICK
            await anyio.sleep_until(due)
            self.learn(anyio.current_time() - due)

    def learn(self, late: float) -> None:
        """Rest longer when late, shorter when there is room again."""
        if late > LATE:
            self.rest = min(LONGEST, max(SHORTEST, self.rest * LONGER))
        elif late < ON_TIME:
            self.rest = self.rest * SHORTER if self.rest > SHORTEST else 0.0
