"""What the real clients meet: our endpoint with an emulator, a home of their own, and no way to the outside."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cyberun_mcp.clients.config_file import write_entry
from cyberun_mcp.clients.machine import Machine
from cyberun_mcp.clients.render import ConnectionOptions
from cyberun_mcp.clients.table import BY_NAME
from tests.node.installing import node

SERVER = (sys.executable, "-m", "cyberun_mcp")
PATIENCE = 120  # seconds for one run of a client
NOWHERE = "http://127.0.0.1:9"  # a proxy that is not there: what is not on loopback fails at once

RECORDER = Path(__file__).parent / "recorder.py"


@dataclass(frozen=True)
class Endpoint:
    """`cyberun-mcp http --emulator`, running; `key` is its emulator's, the only credential there is."""

    url: str
    key: str
    platform: str


@contextmanager
def running_endpoint() -> Iterator[Endpoint]:
    """Start it and end it."""
    command = [*SERVER, "http", "--emulator", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CYBERUN_")}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        said: dict[str, str] = {}
        for line in process.stderr:
            if "Embedded platform at " in line:
                said["platform"] = line.split()[-1]
            if "platform's key: " in line:
                said["key"] = line.rsplit(" ", 1)[1].strip()
            if "MCP endpoint: " in line:
                said["url"] = line.split()[2]
                break
        try:
            yield Endpoint(**said)
        finally:
            process.send_signal(signal.SIGTERM if sys.platform != "win32" else signal.SIGINT)
            process.communicate(timeout=60)


@dataclass(frozen=True)
class Home:
    """An empty home for one client."""

    path: Path
    endpoint: Endpoint

    @property
    def environment(self) -> dict[str, str]:
        """What a client starts with: nothing of this machine's own, no way out, and the emulator's key."""
        path = os.pathsep.join([str(node().parent), "/usr/local/bin", "/usr/bin", "/bin"])
        return {
            "HOME": str(self.path),
            "USERPROFILE": str(self.path),
            "PATH": path,
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
            "CYBERUN_API_KEY": self.endpoint.key,
            "CYBERUN_BASE_URL": self.endpoint.platform,
            "DISABLE_TELEMETRY": "1",
            "NO_COLOR": "1",
            "CI": "1",
        }

    def connect(self, name: str, kind: str) -> None:
        """Write the client's configuration, as `cyberun-mcp config NAME --write` does."""
        machine = Machine(home=self.path, platform=sys.platform, environ={})
        write_entry(BY_NAME[name], connection(kind, self.endpoint, self.path / "said.jsonl"), machine)

    def run(self, command: list[str], **more: str) -> "subprocess.CompletedProcess[str]":
        """Run the client to its end."""
        return subprocess.run(
            command,
            cwd=self.path,
            env=self.environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def connection(kind: str, endpoint: Endpoint, record: Path) -> ConnectionOptions:
    """A connection of each kind; what the client says over stdio is recorded."""
    if kind == "http":
        return ConnectionOptions("http", endpoint.url)
    recorded = (sys.executable, str(RECORDER), str(record), *SERVER)
    if kind == "bridge":
        return ConnectionOptions("bridge", endpoint.url, command=recorded)
    # Codex passes on no variable that it is not told of, and the platform must be the emulator for all of them.
    return ConnectionOptions(command=(*recorded, "--base-url", endpoint.platform))
