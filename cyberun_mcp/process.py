"""This process and the system: whether its parent still runs, and how many files it may have open."""

import contextlib
import os
from collections.abc import Callable

PARENT_AT_START = os.getppid()
SILENCE = 5.0  # seconds; a launcher may exit on purpose, and then the client goes on writing
PAUSE = 1.0  # seconds between two looks


async def parent_gone(last_byte_at: Callable[[], float]) -> None:
    """Return when the parent of this process is gone and its input has been silent since, for `SILENCE` seconds.

    No end of input says so when the client was killed and another process holds its end of the pipe open.

    `last_byte_at` is when the last byte came, by the event loop's clock. On Windows this never returns, since a process
    keeps the number of its parent there.
    """
    import asyncio  # the fast start imports this module first, and asyncio takes longer than all the rest of it

    clock = asyncio.get_running_loop().time
    gone_at: float | None = None
    while gone_at is None or clock() - max(gone_at, last_byte_at()) < SILENCE:
        await asyncio.sleep(PAUSE)
        if gone_at is None and os.getppid() != PARENT_AT_START:
            gone_at = clock()


def allow_open_files(wanted: int) -> None:
    """Raise the soft limit to `wanted`, or to what the system allows; the usual 1,024 is soon used up."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # some systems refuse; then there are fewer
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
