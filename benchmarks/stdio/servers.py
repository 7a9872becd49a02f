"""The servers that are compared, those of others installed into a folder that git ignores."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.stdio.openapi import document

FOLDER = Path(__file__).with_name(".venv-peers")  # `.venv*/` is in .gitignore
BARE = str(Path(__file__).parents[1] / "bare_server.py")
FASTMCP = "4.1.2"
NODE_PACKAGES = {
    "@modelcontextprotocol/server-everything": "2026.8.31",
    "replicate-mcp": "0.9.0",
    "@runpod/mcp-server": "4.0.0",
}

Call = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Server:
    """One server: how it starts, the call its first answer is timed with, and one that never leaves the process."""

    name: str
    command: Sequence[str]
    first_call: Call
    local_call: Call
    without: frozenset[str] = field(default=frozenset())  # environment variables it is measured without, call by call


def servers() -> list[Server]:
    """All of them, installed: first the bare one, then ours."""
    ours = shutil.which("cyberun-mcp", path=str(Path(sys.executable).parent))
    if ours is None:
        raise SystemExit("cyberun-mcp is not installed beside this Python: pip install -e .")
    python = _install_fastmcp()
    specification = FOLDER / "openapi.json"
    specification.write_text(json.dumps(document()), encoding="utf-8")
    generated = [python, str(Path(__file__).with_name("generated_server.py")), str(specification)]
    nothing: Call = ("nothing", {})
    everything, replicate, runpod = _install_node_packages()
    return [
        Server("bare SDK server", [sys.executable, BARE], nothing, nothing),
        # Without a key a call goes all its way through us, up to where it would leave.
        Server("cyberun-mcp", [ours], ("list_workflows", {}), ("list_workflows", {}), frozenset({"CYBERUN_API_KEY"})),
        Server(f"FastMCP.from_openapi {FASTMCP}", generated, ("list_workflows", {}), ("get_task", {})),
        Server("server-everything (npm)", everything, ("echo", {"message": "x"}), ("echo", {"message": "x"})),
        Server("replicate-mcp (npm)", replicate, ("unknown", {}), ("unknown", {})),
        Server("@runpod/mcp-server (npm)", runpod, ("get-pod", {}), ("get-pod", {})),
    ]


def environment(**more: str) -> dict[str, str]:
    """For every process: bytecode kept, as an installed package has it; no settings of ours; keys that open nothing."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH")
    kept = {
        name: value for name, value in os.environ.items() if name not in dropped and not name.startswith("CYBERUN_")
    }
    keys = {"REPLICATE_API_TOKEN": "r8_none", "RUNPOD_API_KEY": "none"}
    return {**kept, **keys, "PYTHONPYCACHEPREFIX": str(FOLDER / "pycache"), **more}


def _install_fastmcp() -> str:
    folder = FOLDER / "python"
    python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    if not (marker := folder / f"fastmcp-{FASTMCP}.installed").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", f"fastmcp=={FASTMCP}"], check=True)
        marker.touch()
    return python


def _install_node_packages() -> list[list[str]]:
    """The command of each package."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise SystemExit("Node 20 or newer, with npm, is needed for the peers")
    folder = FOLDER / "node"
    wanted = [f"{name}@{version}" for name, version in NODE_PACKAGES.items()]
    if not (marker := folder / ("-".join(wanted).replace("/", "") + ".installed")).exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *wanted], check=True)
        marker.touch()
    commands = []
    for name in NODE_PACKAGES:
        package = folder / "node_modules" / name
        [script] = json.loads((package / "package.json").read_text(encoding="utf-8"))["bin"].values()
        commands.append([node, str(package / script)])
    return commands
