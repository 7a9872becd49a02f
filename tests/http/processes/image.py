"""The image's install steps, carried out without a container engine: `python -m tests.http.processes.image`.

The build stage's RUN lines are taken from the Dockerfile itself, and only its absolute paths moved to a folder that is
removed at the end. Then what they installed has to serve.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[3]


def main() -> None:
    """Install, serve, ask."""
    stage = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")[1]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "src", Path(folder) / "opt"
        for line in re.findall(r"(?m)^COPY (.*)$", stage):
            *names, to = shlex.split(line)
            for name in names:
                _copy(ROOT / name, source / (Path(name).name if to == "./" else to))
        for step in re.findall(r"(?m)^RUN (.*)$", stage):
            moved = step.replace("/opt/cyberun-mcp", str(target)).replace("python -m venv", f"{sys.executable} -m venv")
            subprocess.run(moved, shell=True, check=True, cwd=source, env=os.environ | {"PIP_QUIET": "1"})  # noqa: S602
        _serve_and_ask(target / "bin")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _serve_and_ask(commands: Path) -> None:
    loaded = "import uvloop, httptools, opentelemetry.sdk, cyberun_mcp; print(cyberun_mcp.__file__)"
    where = subprocess.run([commands / "python", "-c", loaded], check=True, capture_output=True, text=True, cwd="/")
    assert where.stdout.startswith(str(commands.parent)), where.stdout
    server = subprocess.Popen(
        [commands / "cyberun-mcp", "http", "--port", "0"], stderr=subprocess.PIPE, text=True, cwd="/"
    )
    with server:
        assert server.stderr is not None
        line = next(line for line in server.stderr if line.startswith("MCP endpoint: "))
        url = line.split()[2].removesuffix("/mcp")
        assert httpx2.get(f"{url}/livez", timeout=5).text == "alive\n"
        server.terminate()
    assert server.returncode == 0, server.returncode
    print("the image's install steps work, and what they install serves")


if __name__ == "__main__":
    main()
