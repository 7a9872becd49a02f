"""A real nginx with the configuration we ship, before replicas that come and go."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CONFIGURATION = Path(__file__).parents[2] / "configs" / "nginx.conf"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


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
    site = CONFIGURATION.read_text(encoding="utf-8")
    for number, replica in enumerate(replicas, 1):
        site = site.replace(f"127.0.0.1:800{number}", f"127.0.0.1:{replica}")
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
        process = subprocess.Popen([NGINX, "-c", str(main), "-p", folder], stderr=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nginx ended with {process.returncode}")
