"""Signals end a command in order, from its first moment to its last, so that its temporary folders are removed.

A program that serves receives signals itself, but only while it serves. Before and after that the default action of
SIGTERM and SIGHUP would kill the process on the spot: while it starts, and while it closes what it has opened.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio

_ENDING = (signal.SIGTERM,) if sys.platform == "win32" else (signal.SIGTERM, signal.SIGHUP)


async def end_in_order(program: Callable[[], Awaitable[int]]) -> int:
    """Run `program` and return its exit status; a signal that it does not receive itself cancels it, as Ctrl-C does."""
    status = 0
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:

        def end(number: int, _: Any) -> None:
            nonlocal status
            status = 0 if number == signal.SIGTERM else 128 + number
            loop.call_soon_threadsafe(scope.cancel)

        for number in _ENDING:
            if signal.getsignal(number) == signal.SIG_DFL:  # `nohup`, say, has it ignored, and so it stays
                signal.signal(number, end)
        return await program()
    return status


@contextmanager
def receive_signals(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    """anyio's signal receiver, but the handlers of before come back. asyncio would leave the default action behind."""
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        with anyio.open_signal_receiver(*numbers) as received:
            yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_reload_until_serving() -> None:
    """For commands to which SIGHUP says "read your files again": before they have begun to serve, it says nothing."""
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
