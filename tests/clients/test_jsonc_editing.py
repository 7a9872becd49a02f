"""Editing JSON with comments: one entry changes, every other byte stays."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberun_mcp.clients.jsonc_editing import parse, remove_entry, set_entry
from cyberun_mcp.clients.jsonc_parser import ConfigTextError

ENTRY = {"command": "cyberun-mcp", "args": []}


def with_entry(text: str) -> str:
    return set_entry(text, "servers", "cyberun", ENTRY)


def without_entry(text: str) -> str:
    return remove_entry(text, "servers", "cyberun")


COMMENTED = """\
// my settings
{
    "theme": "dark", // easy on the eyes
    /* all
       servers */
    "servers": {
        "other": {"url": "http://127.0.0.1:1/mcp"} // keep
        // the last word
    },
    "font": 12.50
}
// the end
"""


def test_the_entry_goes_behind_the_others_and_every_comment_stays() -> None:
    assert with_entry(COMMENTED) == COMMENTED.replace(
        '"http://127.0.0.1:1/mcp"} // keep\n        // the last word\n',
        '"http://127.0.0.1:1/mcp"}, // keep\n        // the last word\n'
        '        "cyberun": {\n            "command": "cyberun-mcp",\n            "args": []\n        }\n',
    )


LAYOUTS = {
    "commented": COMMENTED,
    "tabs": '{\n\t"servers": {\n\t\t"a": 1\n\t}\n}\n',
    "trailing commas": '{\n  "servers": {\n    "a": 1,\n  },\n}\n',
    "windows": '{\r\n  "servers": {\r\n    "a": 1\r\n  }\r\n}\r\n',
    "byte order mark": '\ufeff{\n  "servers": {\n    "a": {}\n  }\n}\n',
    "no section": '{\n  "a": [1, 2] // two\n}\n',
    "comment after a trailing comma": '{\n  "servers": {\n    "a": 1, // one\n    /* none */\n  }\n}',
    "braces in strings": '{\n  "servers": {\n    "}": "// {"\n  }\n}\n',
}


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
def test_removing_gives_back_every_byte(text: str) -> None:
    added = with_entry(text)
    assert parse(added)["servers"]["cyberun"] == ENTRY
    assert without_entry(added) == text


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
def test_doing_it_twice_changes_nothing_more(text: str) -> None:
    added = with_entry(text)
    assert with_entry(added) == added
    assert without_entry(text) == text


@pytest.mark.parametrize("text", ["", "  \n", "{}", '{"servers": {}}', '{"servers":{},"a":1}', '{"a": {"b": 1}}'])
def test_small_files_get_the_entry_too(text: str) -> None:
    added = with_entry(text)
    assert parse(added)["servers"] == {"cyberun": ENTRY}
    wanted = parse(text) if text.strip() else {}
    wanted.pop("servers", None)
    assert parse(without_entry(added)) == wanted


def test_a_changed_entry_is_replaced_where_it_stands() -> None:
    old = COMMENTED.replace('"other": {', '"cyberun": {"command": "old"}, // mine\n        "other": {')
    assert parse(with_entry(old))["servers"]["cyberun"] == ENTRY
    assert "// mine" in with_entry(old)


def test_an_entry_in_the_middle_leaves_its_neighbours_alone() -> None:
    text = '{\n  "servers": {\n    "a": 1,\n    "cyberun": 2, // ours\n    "b": 3\n  }\n}\n'
    assert without_entry(text) == '{\n  "servers": {\n    "a": 1,\n // ours\n    "b": 3\n  }\n}\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1', "line 1"),
        ('{\n  "a": tru\n}', "line 2 column 8: expected a value"),
        ('{"a": 1}}', "nothing more"),
        ("[]", "not an object"),
        ('{"servers": []}', "servers is not an object"),
        ('{"servers": {"a": 1, "a": 2}}', "only once"),
        ('{"a": NaN}', "a value"),
        ("{'a': 1}", "a name in quotes"),
        ('{"a": "half}', "a value"),
        ("/* never ends", "a value"),
        ('{"a":' * 5_000, "deeply"),
    ],
)
def test_what_cannot_be_parsed_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(ConfigTextError, match=re.escape(complaint)):
        with_entry(text)


@pytest.mark.parametrize("text", ['{"a": 1,}', '{"a": 1} // x', "{/* x */}"])
def test_plain_json_has_no_comments_and_no_trailing_commas(text: str) -> None:
    with pytest.raises(ConfigTextError):
        set_entry(text, "servers", "cyberun", ENTRY, comments=False)
    assert parse(with_entry(text))["servers"]["cyberun"] == ENTRY


# Documents with anything in them, written in any of the ways people write them.
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
servers = st.dictionaries(st.text().filter(lambda name: name != "cyberun"), values, max_size=3)
documents = st.dictionaries(st.text().filter(lambda name: name != "servers"), values, max_size=4)
notes = st.sampled_from(["", " ", "\n", '// note "{\n', "/* } */", " /* a */ // b\n\t"])


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """`value` as JSON, with comments and blanks wherever they may stand."""
    before, after = draw(notes), draw(notes)
    if isinstance(value, dict) and value:
        members = [f"{draw(notes)}{json.dumps(key)}{draw(notes)}:{draw(written(each))}" for key, each in value.items()]
        return f"{before}{{{','.join(members)}{draw(st.sampled_from(['', ',']))}{draw(notes)}}}{after}"
    indent = draw(st.sampled_from([None, 2, "\t"]))
    return f"{before}{json.dumps(value, indent=indent)}{after}"


@given(st.data(), documents, servers)
def test_whatever_the_file_says_and_however_it_is_written_only_our_entry_changes(
    data: st.DataObject, document: dict[str, Any], present: dict[str, Any]
) -> None:
    document = document | {"servers": present}
    text = data.draw(written(document))
    assert parse(text) == document
    added = with_entry(text)
    assert parse(added) == document | {"servers": present | {"cyberun": ENTRY}}
    for note in ("// note", "/* } */", "/* a */"):
        assert added.count(note) == text.count(note)
    removed = parse(without_entry(added))
    assert removed.pop("servers", {}) == present
    assert removed == {key: each for key, each in document.items() if key != "servers"}
