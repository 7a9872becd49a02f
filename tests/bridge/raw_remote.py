"""A remote that answers in bytes, right or wrong, and a middlebox that forgets the connections it has carried."""

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
    """One connection of the bridge to a raw remote."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.number = number
        self.last_event_id: str | None = None
        self._connection = connection
        self._reader = connection.makefile("rb")

    def read_request(self) -> dict[str, Any] | None:
        """The message in the next request, {} if it has none; None once the bridge has dropped the connection."""
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
        """Say that nothing more will come, as a remote does that closes an idle connection."""
        self._connection.shutdown(socket.SHUT_WR)

    def dropped(self) -> bool:
        """Wait until the bridge has dropped the connection. False if it sends another request instead."""
        return self.read_request() is None

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.close()
        self._connection.close()


class RawRemote:
    """Lets `script` serve each connection in a thread of its own; `asked` are the messages all of them have got."""

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
            thread.join(5)  # a script of a test that has failed may wait for ever

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection = _RecordingConnection(connection, len(self._connections), self.received)
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
    """A whole HTTP answer with this message in it."""
    body = json.dumps(message).encode()
    return b"%sContent-Length: %d\r\n\r\n%s" % (OK, len(body), body)


def respond_to_everything(connection: RawConnection) -> None:
    while (message := connection.read_request()) is not None:
        connection.send(http_response(result_message(message.get("id"), on=connection.number)))


class Middlebox:
    """Carries connections to a port of loopback until it forgets them: they stay open, and nothing passes any more."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._forgotten = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def swallow(self) -> None:
        """Swallow from now on what comes on any connection there is."""
        self._forgotten = self.connections

    def refuse(self) -> None:
        """Take no more connections; those there are stay open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        self.refuse()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)  # a script of a test that has failed may wait for ever

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
                carrying = (source, sink, self.connections)
                self._threads.append(threading.Thread(target=self._carry, args=carrying, daemon=True))
                self._threads[-1].start()

    def _carry(self, source: socket.socket, sink: socket.socket, number: int) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if number > self._forgotten:
                    sink.sendall(piece)
            if number > self._forgotten:
                sink.shutdown(socket.SHUT_WR)


@contextmanager
def middlebox(target: int) -> Iterator[Middlebox]:
    between = Middlebox(target)
    try:
        yield between
    finally:
        between.close()
