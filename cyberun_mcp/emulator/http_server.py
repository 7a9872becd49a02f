"""HTTP servers in the event loop that is already running."""

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
    """A listening socket, bound before its server exists so that the address is known; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only on sockets that name it. Otherwise a small
    # answer, which uvicorn writes in two parts, takes 44 ms over loopback instead of 0.7 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        # To restart on the same port at once. On Windows the option would let two servers share a port.
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(256)
        listening.setblocking(False)
        yield listening


def origin_of(listening: socket.socket) -> str:
    """The URL of a listening socket, up to the port."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(app: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    """Serve an application for as long as the block lasts.

    The server is an asyncio task rather than a child of an anyio task group: when the block is cancelled, the server
    must still be there to close its connections in order.
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
            # Longer than clients keep idle connections, the gateway's among them: it is they who are to close them.
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
    """uvicorn as a guest: signals stay the host's, and it stops within a tenth of a second instead of three."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin to shut down."""
        self._stopping.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        # on_tick(0) renews the Date header, which uvicorn otherwise does at every tenth of its ticks of 0.1 s.
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
        await asyncio.sleep(0)  # connections that are done close now
        for connection in list(self.server_state.connections):
            connection.transport.abort()
