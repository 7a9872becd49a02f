"""The default wait, by the name a client announces."""

import pytest

from cyberun_mcp.tools.client_timeouts import UNKNOWN_CLIENT, default_wait


@pytest.mark.parametrize(
    ("announced", "seconds"),
    [
        ("claude-code", 1_500),
        ("claude-ai", 200),
        ("codex-mcp-client", 270),
        ("gemini-cli-mcp-client", 540),
        ("qwen-code-mcp-client", 180),
        ("qwen-cli-mcp-client-cyberun", 180),
        ("opencode", 1_500),
        ("Visual Studio Code - Insiders", 1_500),
        ("mcp", UNKNOWN_CLIENT),
        ("", UNKNOWN_CLIENT),
        (None, UNKNOWN_CLIENT),
    ],
)
def test_the_default_wait_is_shorter_than_the_clients_timeout(announced: str | None, seconds: int) -> None:
    assert default_wait(announced) == seconds


def test_the_default_wait_for_an_unknown_client_is_shorter_than_most_timeouts() -> None:
    assert UNKNOWN_CLIENT == 45
