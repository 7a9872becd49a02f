"""The SDK's engine is imported in one place, and behaves as that place expects."""

import ast
from pathlib import Path
from typing import Any

import pytest
from mcp.server import Server

from cyberun_mcp.sdk_engine import remove_span_middleware

PACKAGE = Path(__file__).parents[1] / "cyberun_mcp"
# What the SDK documents for servers and clients. All other modules of it belong to its engine.
PUBLIC = {"mcp", "mcp.client.stdio", "mcp.server", "mcp.server.stdio"}


def sdk_modules(file: Path) -> set[str]:
    """The modules of the SDK that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mcp":
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "mcp"}
    return found


def test_only_one_module_imports_the_engine() -> None:
    importers = {file.name for file in PACKAGE.rglob("*.py") if sdk_modules(file) - PUBLIC}
    assert importers == {"sdk_engine.py"}


def test_no_private_module_of_the_sdk_is_imported() -> None:
    modules = set().union(*map(sdk_modules, PACKAGE.rglob("*.py")))
    assert not [module for module in modules if "._" in module]


def test_the_span_middleware_is_all_the_sdk_installs_and_is_removed_alone() -> None:
    async def other(ctx: Any, call_next: Any) -> Any:
        return await call_next(ctx)

    server: Server[Any] = Server("any")
    assert len(server.middleware) == 1
    server.middleware.append(other)
    remove_span_middleware(server)
    assert server.middleware == [other]


def test_a_version_without_the_span_middleware_is_noticed() -> None:
    server: Server[Any] = Server("any")
    server.middleware.clear()
    with pytest.raises(LookupError, match="OpenTelemetryMiddleware"):
        remove_span_middleware(server)
