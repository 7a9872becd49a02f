"""How long a wait is by default, by the name a client announces."""

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
def test_a_client_is_kept_waiting_no_longer_than_it_bears(announced: str | None, seconds: int) -> None:
    assert default_wait(announced) == seconds


def test_an_unknown_client_is_answered_before_most_clients_give_up() -> None:
    assert UNKNOWN_CLIENT == 45
