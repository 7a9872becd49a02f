"""Imports go one way: each room of the house may use those below it, never those above."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cyberun_mcp"

# From the ground up. A module may import rooms that stand before its own, and its own.
FLOORS = [
    "process",
    "redaction",
    "errors",
    "signals",
    "settings",
    "observability",
    "instructions",
    "api",
    "tools",
    "sdk_engine",
    "server",
    "pipes",
    "stdio",
    "http",
    "clients",
    "doctor",
    "demo",
    "cli",
]
# Rooms of their own: the listed ones are all they may use of the rest.
DETACHED = {
    "emulator": set[str](),
    "bridge": {"errors", "observability", "pipes", "process", "redaction"},
    "pipes": set[str](),
    "__init__": set[str](),
    "__main__": {"stdio"},
}
# The console script, which runs the command it has prepared.
UPWARD = {"stdio/fast_start.py": {"cli"}}


def room_of(module: str) -> str:
    """`cyberun_mcp.api.client` → `api`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(file: Path) -> set[str]:
    """The rooms a file imports from, wherever in the file."""
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("cyberun_mcp"):
            rooms.add(room_of(node.module))
        elif isinstance(node, ast.Import):
            rooms |= {room_of(each.name) for each in node.names if each.name.startswith("cyberun_mcp")}
    return rooms - {"__init__"}


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_imports_only_what_stands_below_it(file: Path) -> None:
    room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    used = imports_of(file) - {room}
    if room in DETACHED:
        assert used <= DETACHED[room]
        return
    below = set(FLOORS[: FLOORS.index(room)])
    allowed = below | ({"emulator", "bridge"} if room == "cli" else set())
    allowed |= UPWARD.get(str(file.relative_to(PACKAGE)), set())
    assert used <= allowed


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_stays_readable_in_one_sitting(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300
