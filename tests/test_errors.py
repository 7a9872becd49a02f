"""The exceptions of the package: all of them are in the tree of `errors.py`, and none changes after construction."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cyberun_mcp import errors
from cyberun_mcp.errors import ApiError, OutcomeUnknown, ResponseTooLarge

PACKAGE = Path(errors.__file__).parent
MODULES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}
BRANCH = re.compile(r"(?P<indent>[ │]*)(?:[├└]── )?(?P<name>\w+)(?:  .*)?")


def base_names(definition: ast.ClassDef) -> list[str]:
    return [ast.unparse(base).rpartition(".")[2] for base in definition.bases]


@cache
def exception_classes() -> set[tuple[str, str]]:
    """Each exception class of the package, with the name of its base class."""
    classes = [
        (node.name, base)
        for module in MODULES.values()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
        for base in base_names(node)
    ]
    exceptions = {
        name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
    }
    found: set[tuple[str, str]] = set()
    while new := {(name, base) for name, base in classes if base in exceptions} - found:
        found |= new
        exceptions |= {name for name, _ in new}
    return found


def drawn_classes() -> Iterator[tuple[str, str]]:
    """Each class in the docstring's trees, with the name above it."""
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        branch = BRANCH.fullmatch(line)
        if branch is None or not line.startswith("    "):
            continue
        depth = len(branch["indent"]) // 4 - 1 + ("── " in line)
        path[depth:] = [branch["name"]]
        if depth:
            yield branch["name"], path[depth - 1]


def test_every_exception_class_is_in_the_tree_below_its_base_class() -> None:
    drawn = list(drawn_classes())
    roots = {("CyberunError", "Exception")}
    assert set(drawn) | roots == exception_classes()
    assert len(drawn) == len(set(drawn))


def written_attributes(module: ast.Module) -> Iterator[str]:
    """Writes to an attribute of a caught or just constructed exception, as they are in the source."""
    exception_names = {name for name, _ in exception_classes()}
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        nodes = list(ast.walk(function))
        variables = {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
        variables |= {
            target.id
            for node in nodes
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
            if ast.unparse(node.value.func) in exception_names
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in nodes:
            if not isinstance(node, ast.Attribute) or isinstance(node.ctx, ast.Load):
                continue
            if isinstance(node.value, ast.Name) and node.value.id in variables:
                yield ast.unparse(node)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_exception_is_changed_after_its_construction(file: Path) -> None:
    assert list(written_attributes(MODULES[file])) == []


def test_hints_go_to_a_copy_and_the_error_stays_as_it_was() -> None:
    error = ApiError(429, "slow down", retry_after=17)
    copy = error.with_hints(advice="Wait.", details="Until noon.")
    assert (type(copy), str(copy), copy.status, copy.message, copy.retry_after) == (
        ApiError,
        "Cyberun HTTP 429: slow down",
        429,
        "slow down",
        17,
    )
    assert (copy.advice, copy.details) == ("Wait.", "Until noon.")
    assert (error.advice, error.details) == ("", "")


def test_hints_that_are_not_replaced_are_kept() -> None:
    copy = ResponseTooLarge(200, 5, 4).with_hints(details="more")
    assert copy.advice.startswith("Ask for less at a time")
    assert OutcomeUnknown("lost", advice="Look.").with_hints(details="more").advice == "Look."
