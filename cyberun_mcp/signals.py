"""Signals end a command cleanly at any time, so that its temporary folders are removed.

A server handles signals itself while it serves. While it starts and while it cleans up, the default action of SIGTERM
and SIGHUP would kill the process at once.
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

_installed: ContextVar[Handlers] = ContextVar("installed")  # handlers of the enclosing blocks


async def run_until_signal(program: Callable[[], Awaitable[int]], *, reloads: bool = False) -> int:
    """Run `program` and return its exit status. SIGTERM or SIGHUP cancels it, unless it handles them itself.

    With `reloads`, SIGHUP means "reload your files", and is ignored until the program handles it. asyncio already
    handles SIGINT in the same way: it cancels the program.
    """
    if sys.platform == "win32":
        return await program()
    status = 0
    with anyio.CancelScope() as scope:

        def end(exit_status: int) -> None:
            nonlocal status
            status = exit_status
            scope.cancel()

        handlers: dict[signal.Signals, Callable[[], object]] = {signal.SIGTERM: partial(end, 0)}
        if reloads:
            handlers[signal.SIGHUP] = lambda: None
        elif signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under `nohup`
            handlers[signal.SIGHUP] = partial(end, 128 + signal.SIGHUP)
        with _handling(handlers):
            return await program()
    return status


@contextmanager
def receive_signals(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    """An iterator of these signals; afterwards the previous handlers are restored.

    anyio's own receiver restores the default action for a moment, in which a signal would kill the process.
    """
    send_stream, receive_stream = anyio.create_memory_object_stream[signal.Signals](math.inf)

    def receive(number: signal.Signals) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # a signal after the end
            send_stream.send_nowait(number)

    with send_stream, receive_stream, _handling({number: partial(receive, number) for number in numbers}):
        yield receive_stream


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
