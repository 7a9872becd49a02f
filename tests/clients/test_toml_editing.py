"""Editing Codex's TOML: comments and other servers stay."""

import pytest

from cyberun_mcp.clients.jsonc_parser import ConfigTextError
from cyberun_mcp.clients.toml_editing import parse, remove_entry, set_entry

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
    before = parse(text)
    assert parse(added) == before | {"mcp_servers": before.get("mcp_servers", {}) | {"cyberun": ENTRY}}
    assert with_entry(added) == added
    removed = parse(without_entry(added))
    assert removed.get("mcp_servers", {}) == before.get("mcp_servers", {})
    for line in text.splitlines():
        if "#" in line:
            assert line in added
            assert line in without_entry(added)


OURS = """\
[mcp_servers.cyberun]
# ours
command = "old"

# ours too, about the environment
[mcp_servers.cyberun.env]
A = "b"
"""
NEXT = '\n# about the next table\n\n[profiles.slow] # slow\nmodel = "z"'


@pytest.mark.parametrize("line", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("before", "ours", "after"),
    [
        (COMMENTED + "\n", OURS, NEXT),
        ("", OURS, NEXT),
        ("\ufeff# marked\n", OURS, NEXT),
        ("[mcp_servers]\n# all\n", 'cyberun = { command = "old" } # ours\n', "other = {}\n# about the next\n[a]\n"),
        ("", 'mcp_servers.cyberun.command = "old"\nmcp_servers.cyberun.env.A = "b"\n', "# about x\nx = 1\n[a]\n"),
        ('text = """\n[mcp_servers.cyberun]\n"""\n', OURS, "# that was all"),
        ("", "[[mcp_servers.cyberun]]\na = 1\n[[mcp_servers.cyberun]]\n", "# an array of tables\n[[a]]\n[[a]]\n"),
        ("", "[ mcp_servers . 'cyberun' ]\n", "# written oddly\n"),
    ],
)
def test_comments_around_the_entry_stay_when_it_is_replaced_and_when_it_is_removed(
    before: str, ours: str, after: str, line: str
) -> None:
    before, ours, after = (each.replace("\n", line) for each in (before, ours, after))
    assert without_entry(before + ours + after) == before + after
    written = with_entry(before + ours + after)
    assert written.startswith(before)
    assert written.endswith(after)
    assert parse(written)["mcp_servers"]["cyberun"] == ENTRY


def test_an_entry_in_several_places_is_put_together_in_the_first() -> None:
    scattered = "[mcp_servers.cyberun.env]\nA = 'b'\n# mid\n[x]\n# end\n[mcp_servers.cyberun]\nurl = 'old'\n# last\n"
    assert without_entry(scattered) == "# mid\n[x]\n# end\n# last\n"
    assert with_entry(scattered).endswith("# mid\n[x]\n# end\n# last\n")
    assert parse(with_entry(scattered))["mcp_servers"] == {"cyberun": ENTRY}


@pytest.mark.parametrize(
    ("text", "removed"),
    [
        ("mcp_servers = { a = {}, cyberun = { b = 1 } } # all\n# x\n", "mcp_servers = { a = {}  } # all\n# x\n"),
        ("x = 1\nmcp_servers = { cyberun = { b = 1 } }\n# x\n[y]\n", "x = 1\nmcp_servers = { }\n# x\n[y]\n"),
    ],
)
def test_a_section_that_is_one_value_is_edited_within(text: str, removed: str) -> None:
    assert "".join(without_entry(text).split()) == "".join(removed.split())
    before, _, after = text.partition("mcp_servers = ")
    assert with_entry(text).startswith(before)
    assert with_entry(text).endswith(after[after.rindex("}") + 1 :])
    assert parse(with_entry(text))["mcp_servers"]["cyberun"] == ENTRY


def test_a_file_without_a_line_end_at_its_end_gets_one_and_the_entry_below() -> None:
    assert with_entry("# only this").startswith("# only this\n\n[mcp_servers.cyberun]\n")
    assert with_entry("a = 1\r\n# only this").startswith("a = 1\r\n# only this\r\n\r\n[mcp_servers.cyberun]\r\n")


def test_removing_an_entry_that_stood_directly_below_keeps_the_line_end_above() -> None:
    added = with_entry("")
    assert without_entry("a = 1\n" + added) == "a = 1\n"
    assert without_entry("a = 1\n\n" + added) == "a = 1\n"


def test_removing_what_was_added_gives_back_every_byte() -> None:
    assert without_entry(with_entry(COMMENTED)) == COMMENTED


def test_a_changed_entry_is_replaced() -> None:
    old = COMMENTED + '\n[mcp_servers.cyberun]\nurl = "http://127.0.0.1:1/mcp"\n'
    assert parse(with_entry(old))["mcp_servers"]["cyberun"] == ENTRY


@pytest.mark.parametrize(
    "text", ['a = "half', "[mcp_servers\n", "a = 1\na = 2\n", "mcp_servers = 3\n", "x = " + "[" * 5000]
)
def test_what_cannot_be_parsed_is_refused(text: str) -> None:
    with pytest.raises(ConfigTextError):
        with_entry(text)
