"""The servers that are compared, those of others installed into a folder that git ignores."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.stdio.openapi import document

FOLDER = Path(__file__).with_name(".venv-peers")  # `.venv*/` is in .gitignore
BARE = str(Path(__file__).parents[1] / "bare_server.py")
CANNED = str(Path(__file__).with_name("canned_server.py"))
ANSWER_FILE = FOLDER / "answer.json"
# What the platform answers, and so what three of the servers pass on.
ANSWER = {
    "workflow_list": [
        {
            "id": f"3b1f6c0e-0000-4000-8000-00000000000{number}",
            "workflow_slug": "text-to-image",
            "display_name": "Text to image",
            "version": 1,
            "workflow_status": "active",
            "tool_type": "comfyui",
            "description": "Draws what a prompt says.",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
        }
        for number in range(3)
    ],
    "page_meta": {"current_page": 1, "per_page": 20, "total_count": 3},
}
FASTMCP = "4.1.2"
NODE_PACKAGES = {
    "@modelcontextprotocol/server-everything": "2026.8.31",
    "replicate-mcp": "0.9.0",
    "@runpod/mcp-server": "4.0.0",
}

Call = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Server:
    """One server: how it starts, the call its first answer is timed with, and one that never leaves the process.

    `succeeds` says whether that last call is carried out, so that only like is compared with like. `canned` starts the
    server with the answer to it in memory.
    """

    name: str
    command: Sequence[str]
    first_call: Call
    local_call: Call
    succeeds: bool = True
    canned: Sequence[str] = ()


def servers() -> list[Server]:
    """All of them, installed: first the bare one, then ours."""
    ours = shutil.which("cyberun-mcp", path=str(Path(sys.executable).parent))
    if ours is None:
        raise SystemExit("cyberun-mcp is not installed beside this Python: pip install -e .")
    python = _install_fastmcp()
    specification = FOLDER / "openapi.json"
    specification.write_text(json.dumps(document()), encoding="utf-8")
    generated = [python, str(Path(__file__).with_name("generated_server.py")), str(specification)]
    ANSWER_FILE.write_text(json.dumps(ANSWER), encoding="utf-8")
    nothing: Call = ("nothing", {})
    workflows: Call = ("list_workflows", {})
    everything, replicate, runpod = _install_node_packages()
    return [
        Server("bare SDK server", [sys.executable, BARE], nothing, workflows),
        Server("cyberun-mcp", [ours], workflows, workflows, canned=[sys.executable, CANNED]),
        Server(
            f"FastMCP.from_openapi {FASTMCP}", generated, workflows, workflows, canned=[*generated, str(ANSWER_FILE)]
        ),
        Server("server-everything (npm)", everything, ("echo", {"message": "x"}), ("echo", {"message": "x"})),
        # These two have no call that they carry out without their platform.
        Server("replicate-mcp (npm)", replicate, ("unknown", {}), ("unknown", {}), succeeds=False),
        Server("@runpod/mcp-server (npm)", runpod, ("get-pod", {}), ("get-pod", {}), succeeds=False),
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
