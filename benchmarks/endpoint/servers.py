"""The servers that are compared, and the platform behind them, each a process of its own."""

import os
import resource
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FASTMCP = ROOT / ".venv-fastmcp"
OPEN_FILES = 20_000
_WITHOUT_FAST = """
import sys
sys.modules.update(uvloop=None, httptools=None)
from cyberun_mcp.stdio.fast_start import main
sys.exit(main())
"""


@dataclass
class Server:
    """A running server; `started` is how long it took from its start to its first answer, in seconds."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    started: float

    def resident_kib(self) -> int:
        """Resident memory of the process and of those it has started."""
        return sum(_resident(pid) for pid in [self.process.pid, *_children(self.process.pid)])


def raise_the_limit_of_open_files() -> None:
    """Thousands of waits need two sockets each."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most), most))


@contextmanager
def platform() -> Iterator[str]:
    """The base URL of the platform."""
    port = _free_port()
    with _running([sys.executable, "-m", "benchmarks.endpoint.upstream", str(port)]):
        _wait(port, time.perf_counter())
        yield f"http://127.0.0.1:{port}/api/v1"


@contextmanager
def ours(base_url: str, *flags: str) -> Iterator[Server]:
    """cyberun-mcp as anyone would start it, but for the line it logs of each call, which the peers do not."""
    command = [str(Path(sys.executable).with_name("cyberun-mcp")), "http", "--base-url", base_url, *flags]
    command += ["--log-level", "warning"]
    with _server("cyberun-mcp", command, "--port") as server:
        yield server


@contextmanager
def ours_without_fast(base_url: str) -> Iterator[Server]:
    """The same as where the extra `fast` is not installed: neither uvloop nor httptools can be imported."""
    command = [sys.executable, "-P", "-c", _WITHOUT_FAST, "http", "--base-url", base_url, "--log-level", "warning"]
    with _server("cyberun-mcp without fast", command, "--port") as server:
        yield server


@contextmanager
def bare() -> Iterator[Server]:
    """Peer (a)."""
    with _server("(a) bare SDK", [sys.executable, "-m", "benchmarks.endpoint.bare"]) as server:
        yield server


@contextmanager
def from_openapi(base_url: str) -> Iterator[Server]:
    """Peer (b), in an environment of its own that is made at the first use."""
    python = FASTMCP / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FASTMCP)], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "fastmcp>=4,<5", "uvloop", "httptools"], check=True)
    command = [str(python), "-P", str(Path(__file__).with_name("from_openapi.py"))]
    with _server("(b) FastMCP.from_openapi", command, after=(base_url,)) as server:
        yield server


@contextmanager
def _server(name: str, command: Sequence[str], flag: str = "", after: Sequence[str] = ()) -> Iterator[Server]:
    port, began = _free_port(), time.perf_counter()
    with _running([*command, *([flag] if flag else []), str(port), *after]) as process:
        yield Server(name, port, process, _wait(port, began))


@contextmanager
def _running(command: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CYBERUN_", "OTEL_"))}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(port: int, began: float) -> float:
    """Seconds until the server has answered anything at all."""
    while time.perf_counter() - began < 60:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/mcp", timeout=5).close()
        except urllib.error.HTTPError as answer:
            answer.close()
        except OSError:
            time.sleep(0.01)
            continue
        return time.perf_counter() - began
    raise SystemExit(f"nothing answers on port {port}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as any_port:
        port: int = any_port.getsockname()[1]
        return port


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
