"""What is packaged and what it needs."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from cyberun_mcp import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [
    requirement
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in group
    if not requirement.startswith("cyberun-mcp[")
]


def test_the_project_takes_its_version_from_the_package() -> None:
    assert "version" not in PROJECT
    assert version("cyberun-mcp") == __version__


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes/deployment.yaml"])
def test_a_deploy_file_names_the_image_of_this_version(name: str) -> None:
    text = (ROOT / "configs" / name).read_text(encoding="utf-8")
    assert re.findall(r"image: cyberun-mcp:([\w.]+)", text) == [__version__]


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_dependency_has_a_lower_and_an_upper_bound(requirement: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+(\[[a-z,]+\])?>=[\d.]+,<[\d.]+", requirement)


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_dependency_has_its_reason_above_it(requirement: str) -> None:
    lines = [line.strip() for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()]
    place = lines.index(f'"{requirement}",')
    reason = next(line for line in reversed(lines[:place]) if line.startswith("#") or line.endswith("["))
    assert reason.startswith("# ")


def test_the_lowest_constraints_are_the_lower_bounds() -> None:
    lowest = (ROOT / "constraints" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    bounds = {re.sub(r">=([\d.]+),.*", r"==\1", requirement) for requirement in REQUIREMENTS}
    assert {line for line in lowest if not line.startswith("#")} == bounds


@pytest.mark.parametrize("name", ["pinned.txt", "lowest.txt"])
def test_constraints_name_no_host_and_no_path(name: str) -> None:
    text = (ROOT / "constraints" / name).read_text(encoding="utf-8")
    assert not re.search(r"://|@|/(?!pyproject|test_packaging)", "\n".join(re.findall(r"^[^#].*", text, re.MULTILINE)))
