"""A remote that sends raw bytes, valid or not, and a middlebox that silently drops connections."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STRAY_408 = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class RawConnection:
    """The remote end of one connection from the bridge."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.number = number
        self.last_event_id: str | None = None
        self._connection = connection
        self._reader = connection.makefile("rb")

    def read_request(self) -> dict[str, Any] | None:
        """The message in the next request, {} if it has no body; None once the bridge has closed the connection."""
        with suppress(OSError):
            if not self._reader.readline():
                return None
            headers = http.client.parse_headers(self._reader)
            self.last_event_id = headers.get("Last-Event-ID")
            message: dict[str, Any] = json.loads(self._reader.read(int(headers.get("Content-Length", 0))) or b"{}")
            return message
        return None

    def send(self, raw: bytes) -> None:
        with suppress(OSError):
            self._connection.sendall(raw)

    def close_write(self) -> None:
        """End the sending direction, as a remote does when it closes an idle connection."""
        self._connection.shutdown(socket.SHUT_WR)

    def wait_until_closed(self) -> bool:
        """Wait until the bridge closes the connection. False if it sends another request instead."""
        return self.read_request() is None

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.close()
        self._connection.close()


class RawRemote:
    """Runs `script` for each connection, in a thread; `received` has the messages of all connections."""

    def __init__(self, script: Callable[[RawConnection], None]) -> None:
        self.received: list[dict[str, Any]] = []
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[RawConnection] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def connections(self) -> int:
        return len(self._connections)

    def methods(self) -> list[str]:
        return [message.get("method", "") for message in self.received]

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()
        for thread in self._threads:
            thread.join(5)  # after a failed test, a script may never end

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            connection = _RecordingConnection(accepted, len(self._connections), self.received)
            self._connections.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _serve(self, connection: RawConnection) -> None:
        with suppress(OSError, ValueError):  # the test is over
            self._script(connection)


class _RecordingConnection(RawConnection):
    def __init__(self, connection: socket.socket, number: int, received: list[dict[str, Any]]) -> None:
        super().__init__(connection, number)
        self._received = received

    def read_request(self) -> dict[str, Any] | None:
        message = super().read_request()
        if message is not None:
            self._received.append(message)
        return message


@contextmanager
def raw_remote(script: Callable[[RawConnection], None]) -> Iterator[RawRemote]:
    remote = RawRemote(script)
    try:
        yield remote
    finally:
        remote.close()


def result_message(request_id: Any, **content: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": content}


def http_response(message: Mapping[str, Any]) -> bytes:
    """A complete HTTP response with this message."""
    body = json.dumps(message).encode()
    return b"%sContent-Length: %d\r\n\r\n%s" % (OK, len(body), body)


def respond_to_everything(connection: RawConnection) -> None:
    while (message := connection.read_request()) is not None:
        connection.send(http_response(result_message(message.get("id"), on=connection.number)))


class Middlebox:
    """Forwards connections to a loopback port, until it swallows their data: they stay open, but nothing passes."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._swallowed = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def swallow(self) -> None:
        """From now on, drop all data on the existing connections."""
        self._swallowed = self.connections

    def refuse(self) -> None:
        """Refuse new connections; the existing ones stay open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        self.refuse()
        for open_socket in self._sockets:
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        for thread in self._threads:
            thread.join(5)  # after a failed test, a script may never end

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._sockets += (near, far)
            self.connections += 1
            for source, sink in ((near, far), (far, near)):
                arguments = (source, sink, self.connections)
                self._threads.append(threading.Thread(target=self._forward, args=arguments, daemon=True))
                self._threads[-1].start()

    def _forward(self, source: socket.socket, sink: socket.socket, number: int) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if number > self._swallowed:
                    sink.sendall(piece)
            if number > self._swallowed:
                sink.shutdown(socket.SHUT_WR)


@contextmanager
def middlebox(target: int) -> Iterator[Middlebox]:
    between = Middlebox(target)
    try:
        yield between
    finally:
        between.close()
