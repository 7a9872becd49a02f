"""`cyberun-mcp http` as a process, before a platform that does as told."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.waiting import GUARD, wait_until
from tests.waiting import until as until

COMMAND = str(Path(sys.executable).with_name("cyberun-mcp"))


@dataclass
class Endpoint:
    """A running endpoint; `log` is all it has said."""

    url: str
    process: "subprocess.Popen[bytes]"
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def client(self, **options: object) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=200)
        return httpx2.AsyncClient(base_url=self.url, timeout=GUARD, limits=limits, **options)  # type: ignore[arg-type]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, within: float = GUARD) -> int:
        """The exit status."""
        return self.process.wait(timeout=within)


@contextmanager
def endpoint(base_url: str, *flags: str, open_files: int = 0, **environment: str) -> Iterator[Endpoint]:
    """An endpoint that is ready, begun with a limit of `open_files`; it is killed at the end, unless it has ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CYBERUN_", "OTEL_"))}
    with tempfile.TemporaryDirectory() as folder:
        log_file = Path(folder) / "log"
        with log_file.open("wb") as log:
            limited = ["sh", "-c", f'ulimit -Sn {open_files}; exec "$0" "$@"'] if open_files else []
            process = subprocess.Popen(
                [*limited, COMMAND, "http", "--port", "0", "--base-url", base_url, *flags],
                stderr=log,
                env=kept | environment,
            )
        try:
            url = _wait_for_url(process, log_file)
            _wait_until_alive(url)
            yield Endpoint(url, process, log_file)
        finally:
            process.kill()
            process.wait()


def _wait_for_url(process: "subprocess.Popen[bytes]", log: Path) -> str:
    def named() -> list[str]:
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line.split()[2] for line in lines if line.startswith("MCP endpoint: ") and line.endswith("\n")]

    wait_until(lambda: named() != [] or process.poll() is not None)
    if not named():
        raise RuntimeError(log.read_text(encoding="utf-8"))
    return named()[0].removesuffix("/mcp")


def _wait_until_alive(url: str) -> None:
    def alive() -> bool:
        try:
            return httpx2.get(f"{url}/livez", timeout=GUARD).is_success
        except httpx2.TransportError:
            return False

    wait_until(alive)
