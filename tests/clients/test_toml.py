"""Editing Codex's TOML: comments and other servers stay."""

import pytest

from cyberun_mcp.clients.jsonc import Unreadable
from cyberun_mcp.clients.toml import loads, remove_entry, set_entry

ENTRY = {"command": "cyberun-mcp", "args": [], "env_vars": ["CYBERUN_API_KEY"], "tool_timeout_sec": 3600}
COMMENTED = """\
# my Codex
model = "x" # the quick one

[mcp_servers.other] # keep
command = "other"

# profiles
[profiles.fast]
model = "y"
"""


def with_entry(text: str) -> str:
    return set_entry(text, "mcp_servers", "cyberun", ENTRY)


def without_entry(text: str) -> str:
    return remove_entry(text, "mcp_servers", "cyberun")


@pytest.mark.parametrize(
    "text",
    [
        COMMENTED,
        "",
        'model = "x"\n',
        "[mcp_servers]\n",
        '[mcp_servers.a]\nurl = "http://127.0.0.1:1"\n\n[x]\ny = 1\n\n[mcp_servers.b]\nurl = "http://127.0.0.1:2"\n',
        '[mcp_servers]\na = { command = "a" } # inline\n',
        'mcp_servers = { a = { command = "a" } }\n',
    ],
)
def test_the_entry_comes_and_goes_and_everything_else_stays(text: str) -> None:
    added = with_entry(text)
    before = loads(text)
    assert loads(added) == before | {"mcp_servers": before.get("mcp_servers", {}) | {"cyberun": ENTRY}}
    assert with_entry(added) == added
    removed = loads(without_entry(added))
    assert removed.get("mcp_servers", {}) == before.get("mcp_servers", {})
    for line in text.splitlines():
        if "#" in line:
            assert line in added
            assert line in without_entry(added)


def test_removing_what_was_added_gives_back_every_byte() -> None:
    assert without_entry(with_entry(COMMENTED)) == COMMENTED


def test_a_changed_entry_is_replaced() -> None:
    old = COMMENTED + '\n[mcp_servers.cyberun]\nurl = "http://127.0.0.1:1/mcp"\n'
    assert loads(with_entry(old))["mcp_servers"]["cyberun"] == ENTRY


@pytest.mark.parametrize("text", ['a = "half', "[mcp_servers\n", "a = 1\na = 2\n", "mcp_servers = 3\n"])
def test_what_cannot_be_parsed_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        with_entry(text)
