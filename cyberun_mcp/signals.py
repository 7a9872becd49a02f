"""Signals end a command in order, from its first moment to its last, so that its temporary folders are removed.

A program that serves receives signals itself, but only while it serves. Before and after that, the default action of
SIGTERM and SIGHUP would kill the process on the spot: while it starts, and while it closes what it has opened.
"""

import asyncio
import math
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial

import anyio

Handlers = Mapping[signal.Signals, Callable[[], object]]

_installed: ContextVar[Handlers] = ContextVar("installed")  # those of the blocks around the present one


async def end_in_order(program: Callable[[], Awaitable[int]], *, reloads: bool = False) -> int:
    """Run `program` and return its exit status; SIGTERM or SIGHUP cancels it, where it does not receive them itself.

    With `reloads`, SIGHUP means "read your files again", and says nothing to a program that does not serve yet.
    (SIGINT needs no help: asyncio cancels the program.)
    """
    if sys.platform == "win32":
        return await program()
    status = 0
    with anyio.CancelScope() as scope:

        def end(with_status: int) -> None:
            nonlocal status
            status = with_status
            scope.cancel()

        handlers: dict[signal.Signals, Callable[[], object]] = {signal.SIGTERM: partial(end, 0)}
        if reloads:
            handlers[signal.SIGHUP] = lambda: None
        elif signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as it is after `nohup`
            handlers[signal.SIGHUP] = partial(end, 128 + signal.SIGHUP)
        with _handling(handlers):
            return await program()
    return status


@contextmanager
def receive_signals(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    """Receive these signals; afterwards they mean what they meant before.

    anyio's own receiver leaves the default action behind, if only for a moment: enough to be killed in.
    """
    sending, receiving = anyio.create_memory_object_stream[signal.Signals](math.inf)

    def receive(number: signal.Signals) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it came at the very end
            sending.send_nowait(number)

    with sending, receiving, _handling({number: partial(receive, number) for number in numbers}):
        yield receiving


@contextmanager
def _handling(handlers: Handlers) -> Iterator[None]:
    loop, outer = asyncio.get_running_loop(), _installed.get({})
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    token = _installed.set({**outer, **handlers})
    try:
        yield
    finally:
        _installed.reset(token)
        for number in handlers:
            if number in outer:
                loop.add_signal_handler(number, outer[number])
            else:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])
