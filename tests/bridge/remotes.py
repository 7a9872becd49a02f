"""Remotes for the bridge: the SDK's server as a process, and a server that a test scripts."""

import json
import queue
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.waiting import GUARD

PROGRAM = Path(__file__).with_name("sdk_remote.py")


class SdkRemote:
    """The SDK's server. It can be killed and restarted on the same port."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.port = 0
        self.output_lines: queue.Queue[str] = queue.Queue()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(self.port), self.mode],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split()[1])
        self._listening = threading.Thread(target=self._listen, args=(self._process.stdout,))
        self._listening.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listening.join()

    def wait_for(self, text: str) -> None:
        """Wait until the remote prints this line. Raises queue.Empty if it prints nothing for too long."""
        while self.output_lines.get(timeout=GUARD) != text:
            continue

    def _listen(self, stdout: Any) -> None:
        with stdout:
            for line in stdout:
                self.output_lines.put(line.strip())


class ReceivedRequest:
    """A request that a scripted remote has received, with methods to respond to it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.handler = handler
        self.http_method = handler.command
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = body

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.body)
        return message

    def respond(self, status: int, content: bytes = b"", media_type: str = "application/json", **headers: str) -> None:
        self.handler.send_response(status)
        for name, value in {"Content-Type": media_type, "Content-Length": str(len(content)), **headers}.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(content)

    def send_result(self, **headers: str) -> None:
        """Respond to a request with a valid result, and to a notification with 202."""
        if "id" not in self.message or "method" not in self.message:
            return self.respond(202)
        result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}
        body = {"jsonrpc": "2.0", "id": self.message["id"], "result": result}
        return self.respond(200, json.dumps(body).encode(), **headers)

    def start_stream(self) -> Callable[[bytes], None]:
        """Start an event stream that ends with the connection. The returned function sends a piece of it."""
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "text/event-stream")
        self.handler.send_header("Connection", "close")
        self.handler.end_headers()
        return self._send

    def _send(self, piece: bytes) -> None:
        self.handler.wfile.write(piece)
        self.handler.wfile.flush()


Script = Callable[[ReceivedRequest], None]


class ScriptedRemote:
    """A remote that calls `script` for each request, after recording it in `received`."""

    def __init__(self, script: Script, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.received: list[ReceivedRequest] = []
        remote = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = GUARD

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:  # the bridge closed the connection because it no longer needs the response
                    self.close_connection = True

            def do_POST(self) -> None:
                request = ReceivedRequest(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))
                remote.received.append(request)
                remote.script(request)

            do_GET = do_DELETE = do_POST  # noqa: N815 - the base class requires these names

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.allow_reuse_address = True
        self._server.server_bind()
        self._server.server_activate()
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def methods(self) -> list[str]:
        return [request.message.get("method", "") if request.body else request.http_method for request in self.received]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def scripted(script: Script = ReceivedRequest.send_result, **options: Any) -> Iterator[ScriptedRemote]:
    remote = ScriptedRemote(script, **options)
    try:
        yield remote
    finally:
        remote.close()


def event(message: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(message).encode() + b"\n\n"
