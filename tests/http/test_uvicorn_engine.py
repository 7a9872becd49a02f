"""uvicorn's internals are used in one place."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "cyberun_mcp"
# The emulator is separate and has a server of its own; the middleware for proxies is documented.
ALLOWED = {"http/uvicorn_engine.py", "emulator/http_server.py", "http/middleware/trusted_proxies.py"}


def imports_uvicorn(file: Path) -> bool:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if any(name.split(".")[0] == "uvicorn" for name in names):
            return True
    return False


def test_only_the_engine_imports_uvicorn() -> None:
    importers = {file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py") if imports_uvicorn(file)}
    assert importers == ALLOWED
