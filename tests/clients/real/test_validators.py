"""The makers' own validators pass what `make dist` builds."""

from pathlib import Path

import pytest

from distribution.build import build
from tests.clients.real.conftest import Installed
from tests.clients.real.programs import CLAUDE, GEMINI, MCPB
from tests.clients.real.stage import Home


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    build(tmp_path / "dist")
    return tmp_path / "dist"


def passes(home: Home, command: list[str]) -> str:
    result = home.run(command)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_claude_code_takes_the_plugin_and_its_marketplace(installed: Installed, home: Home, dist: Path) -> None:
    claude = installed(CLAUDE.name, CLAUDE.command)
    passes(home, [*claude, "plugin", "validate", "--strict", str(dist / "claude-code")])
    plugin = str(dist / "claude-code" / "cyberun")
    passes(home, [*claude, "plugin", "validate", "--strict", "--profile", "directory", plugin])


def test_claude_code_installs_the_plugin_from_the_marketplace(installed: Installed, home: Home, dist: Path) -> None:
    claude = installed(CLAUDE.name, CLAUDE.command)
    passes(home, [*claude, "plugin", "marketplace", "add", str(dist / "claude-code")])
    passes(home, [*claude, "plugin", "install", "cyberun@cyberun"])
    assert "cyberun" in passes(home, [*claude, "plugin", "list"])


def test_mcpb_takes_the_bundle(installed: Installed, home: Home, dist: Path) -> None:
    mcpb = installed(MCPB.name, MCPB.command)
    passes(home, [*mcpb, "validate", str(dist / "mcpb")])
    [bundle] = dist.glob("*.mcpb")
    passes(home, [*mcpb, "unpack", str(bundle), str(home.path / "unpacked")])
    passes(home, [*mcpb, "validate", str(home.path / "unpacked")])


def test_gemini_takes_the_extension(installed: Installed, home: Home, dist: Path) -> None:
    gemini = installed(GEMINI.name, GEMINI.command)
    passes(home, [*gemini, "extensions", "validate", str(dist / "gemini-extension")])
