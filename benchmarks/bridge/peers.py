"""The shims that are compared: ours, and three from their registries, installed into a folder that git ignores."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name(".venv-peers")  # `.venv*/` is in .gitignore
NODE_PACKAGES = {"mcp-remote": "0.15.1", "supergateway": "4.0.0"}
PYTHON_PACKAGES = {"mcp-proxy": "0.13.0"}


class Shim(NamedTuple):
    """How one shim is started for a URL; every one of them gets the key of `environment()` in a header."""

    name: str
    command: Callable[[str], list[str]]


def shims() -> list[Shim]:
    """All of them, installed."""
    node, modules = _install_node_packages(), FOLDER / "node" / "node_modules"
    proxy = _install_python_packages() / "mcp-proxy"
    ours = shutil.which("cyberun-mcp", path=str(Path(sys.executable).parent))
    if ours is None:
        raise SystemExit("cyberun-mcp is not installed beside this Python: pip install -e .")

    def authorization() -> str:
        return f"Bearer {os.environ['CYBERUN_API_KEY']}"

    def mcp_remote(url: str) -> list[str]:
        script = str(modules / "mcp-remote" / "dist" / "proxy.js")
        return [node, script, url, "--transport", "http-only", "--header", f"Authorization:{authorization()}"]

    def supergateway(url: str) -> list[str]:
        script = str(modules / "supergateway" / "dist" / "index.js")
        return [node, script, "--streamableHttp", url, "--header", f"Authorization: {authorization()}"]

    def mcp_proxy(url: str) -> list[str]:
        return [str(proxy), "--transport", "streamablehttp", "-H", "Authorization", authorization(), url]

    return [
        Shim("cyberun-mcp bridge", lambda url: [ours, "bridge", url]),
        Shim(f"mcp-remote {NODE_PACKAGES['mcp-remote']}", mcp_remote),
        Shim(f"mcp-proxy {PYTHON_PACKAGES['mcp-proxy']}", mcp_proxy),
        Shim(f"supergateway {NODE_PACKAGES['supergateway']}", supergateway),
    ]


def environment() -> Mapping[str, str]:
    """For every process of the benchmark: ours has its bytecode, as an installed package has, and no other settings."""
    drop = ("CYBERUN_BASE_URL", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if name not in drop}
    folders = {"HOME": str(FOLDER / "home"), "PYTHONPYCACHEPREFIX": str(FOLDER / "pycache")}
    return kept | folders


def _install_node_packages() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise SystemExit("Node 20 or newer, with npm, is needed for the peers")
    folder = FOLDER / "node"
    wanted = [f"{name}@{version}" for name, version in NODE_PACKAGES.items()]
    marker = folder / ("-".join(wanted).replace("/", "") + ".installed")
    if not marker.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *wanted], check=True)
        marker.touch()
    return node


def _install_python_packages() -> Path:
    folder = FOLDER / "python"
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    wanted = [f"{name}=={version}" for name, version in PYTHON_PACKAGES.items()]
    marker = folder / ("-".join(wanted) + ".installed")
    if not marker.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(scripts / "python"), "-m", "pip", "install", "-qq", *wanted], check=True)
        marker.touch()
    return scripts
