"""Running an ASGI application on a socket in the current event loop, with uvicorn."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

_GRACE_SECONDS = 0.1


@contextmanager
def bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket. It exists before its server so that the address is known; port 0 takes a free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With an explicit protocol, because asyncio disables Nagle's algorithm only on such sockets. Otherwise a small
    # response, which uvicorn writes in two parts, takes 44 ms over loopback instead of 0.7 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        # For an immediate restart on the same port. On Windows the option would let two servers share a port.
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(256)
        listening.setblocking(False)
        yield listening


def origin_of(listening: socket.socket) -> str:
    """The URL of a listening socket without a path."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(app: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    """Serve an application until the block ends.

    The server is an asyncio task rather than a child of an anyio task group, because it must still run after the block
    was cancelled, to close its connections cleanly.
    """
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http="h11",
            server_header=False,
            # Longer than clients and the gateway keep idle connections, so that the server never closes one first.
            timeout_keep_alive=75,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.stop()
        with anyio.CancelScope(shield=True):
            await task


class _Server(uvicorn.Server):
    """Leaves signals to the process, and stops within a tenth of a second, where uvicorn needs up to three."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Start to shut down."""
        self._stopping.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        # on_tick(0) updates the Date header. uvicorn itself ticks every 0.1 s and does so on every tenth tick.
        while not self._stopping.is_set():
            await self.on_tick(0)
            with anyio.move_on_after(1):
                await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        answering = set(self.server_state.tasks)
        if answering:
            _, late = await asyncio.wait(answering, timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*answering, return_exceptions=True)
        await asyncio.sleep(0)  # lets connections that have finished close
        for connection in list(self.server_state.connections):
            connection.transport.abort()
