"""Every client with a `list` command connects with the configuration we write for it."""

import pytest

from tests.clients.real.conftest import Installed
from tests.clients.real.programs import CLAUDE, GEMINI, OPENCODE, QWEN, Program
from tests.clients.real.stage import Home


@pytest.mark.parametrize("kind", ["stdio", "http", "bridge"])
@pytest.mark.parametrize(
    ("program", "name", "extra"),
    [
        (CLAUDE, "claude-code", {}),
        # It shows servers only in folders that its user trusts.
        (GEMINI, "gemini", {"GEMINI_CLI_TRUST_WORKSPACE": "true"}),
        (QWEN, "qwen", {}),
        (OPENCODE, "opencode", {}),
    ],
    ids=lambda value: value.name if isinstance(value, Program) else "",
)
def test_the_client_connects(
    installed: Installed, home: Home, program: Program, name: str, extra: dict[str, str], kind: str
) -> None:
    command = installed(program.name, program.command)
    home.connect(name, kind)
    result = home.run([*command, "mcp", "list"], **extra)
    said = result.stdout + result.stderr
    assert "connected" in said.lower().replace("disconnected", ""), said
    assert not any(word in said.lower() for word in ("failed", "disconnected")), said
