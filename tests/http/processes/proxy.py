"""A real nginx, and a real Caddy, with the configuration we ship, before replicas that come and go."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import GUARD, wait_until

CONFIGS = Path(__file__).parents[3] / "configs"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
NGINX = shutil.which("nginx", path=_PATH)
CADDY = shutil.which("caddy", path=_PATH)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on right now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def nginx(replicas: Sequence[int]) -> Iterator[str]:
    """Its base URL. Only what no test can have is replaced: addresses and certificates."""
    [port] = free_ports(1)
    site = _before("nginx.conf", replicas)
    site = re.sub(r"(?m)^ *ssl_.*\n", "", site.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};"))
    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder) / "nginx.conf"
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        main.write_text(
            f"daemon off; {user} pid {folder}/pid; error_log stderr warn;\n"
            f"events {{ worker_connections 512; }}\nhttp {{ access_log off; {paths}\n{site}\n}}\n",
            encoding="utf-8",
        )
        assert NGINX
        with _running([NGINX, "-c", str(main), "-p", folder], port) as url:
            yield url


@contextmanager
def caddy(replicas: Sequence[int]) -> Iterator[str]:
    """Its base URL. Only the address is replaced, and with it what needs a certificate."""
    [port] = free_ports(1)
    site = _before("Caddyfile", replicas).replace("mcp.example.com {", f"http://127.0.0.1:{port} {{")
    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder) / "Caddyfile"
        main.write_text(f"{{\n\tadmin off\n}}\n{site}", encoding="utf-8")
        assert CADDY
        homes = {"HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_DATA_HOME": folder}
        with _running([CADDY, "run", "--config", str(main), "--adapter", "caddyfile"], port, **homes) as url:
            yield url


def _before(configuration: str, replicas: Sequence[int]) -> str:
    site = (CONFIGS / configuration).read_text(encoding="utf-8")
    for number, replica in enumerate(replicas, 1):
        site = site.replace(f"127.0.0.1:800{number}", f"127.0.0.1:{replica}")
    return site


@contextmanager
def _running(command: Sequence[str], port: int, **environment: str) -> Iterator[str]:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | environment)
    try:
        wait_until(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, f"the proxy ended with {process.returncode}"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), GUARD).close()
    except OSError:
        return False
    return True
