"""Adding, changing or removing our entry in a TOML file leaves the rest of the file unchanged, byte for byte."""

import tomllib
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyberun_mcp.clients.toml_editing import parse, remove_entry, set_entry

SLOW_GENERATION = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
ENTRY = {"command": "cyberun-mcp", "args": ["--emulator"], "env": {"A": "b"}, "tool_timeout_sec": 3600}

remarks = st.lists(
    st.sampled_from(
        ["\n", "  \n", "# [mcp_servers.cyberun]\n", "\t# indented, and 'quoted\n", "#\n", '# """ \n', "# ünïcode ✓ ]\n"]
    ),
    max_size=3,
).map("".join)
values = st.sampled_from(
    [
        '"x"',
        "'# no comment'",
        "1.5 # half",
        "1979-05-27T07:32:00Z",
        '"""\n[mcp_servers.cyberun]\n# text \\""" too\n"""',
        "'''\n[profiles]\ncyberun = '1' ''''' # two quotes are its last",
        '""""two" quotes first and last""""" # odd',
        '[ # one\n  "]", # two\n\n  [1, 2], { a = "}" },\n  # three\n]',
        '{ cyberun = { command = "not ours" }, b = [1] }',
        "{}",
        "true",
    ]
)
names = st.sampled_from(["a", '"b c"', "'d#'", "e-f", '"mcp_servers.cyberun"', '"ключ"'])


@st.composite
def bodies(draw: st.DrawFn, prefix: str = "") -> str:
    """The keys of one table, with blank lines and comments before and between."""
    keys = draw(st.lists(names, max_size=3, unique=True))
    dotted = draw(st.sampled_from(["", "x.", "x . y ."]))
    indent = draw(st.sampled_from(["", "  "]))
    return "".join(f"{draw(remarks)}{indent}{prefix}{dotted}{key} = {draw(values)}\n" for key in keys)


headers = st.sampled_from(["[%s]\n", "  [ %s ]  # about\n", "[%s] # [mcp_servers.cyberun]\n"])


@st.composite
def tables(draw: st.DrawFn, path: str) -> str:
    """A table under `path`. It ends with its last key, without trailing comments."""
    return draw(headers) % path + draw(bodies())


@st.composite
def others(draw: st.DrawFn, label: str) -> str:
    """Tables of other programs, with comments before them."""
    texts = []
    for number in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(["profiles", "mcp_servers", "'mcp_servers'", "x.cyberun"])) + f".{label}{number}"
        texts.append(draw(remarks) + draw(tables(path)))
        if draw(st.booleans()):
            texts.append(draw(remarks) + f"[[hooks{label}{number}]]\n" + draw(bodies()))
    return "".join(texts)


@dataclass(frozen=True)
class File:
    """A file in three parts; `ours` is empty if there is no entry of ours."""

    before: str
    ours: str
    after: str

    @property
    def text(self) -> str:
        return self.before + self.ours + self.after


OURS = ["mcp_servers.cyberun", '"mcp_servers"."cyberun"', "mcp_servers . 'cyberun'"]


@st.composite
def entries_as_tables(draw: st.DrawFn) -> str:
    """Our entry as a table, with or without subtables. It ends with its last key or header."""
    path = draw(st.sampled_from(OURS))
    text = draw(tables(path))
    if draw(st.booleans()):
        text += draw(remarks) + draw(tables(f"{path}.env"))
    if draw(st.booleans()):
        text += draw(remarks) + f"[[{path}.tools]]\n" + draw(bodies())
    return text


@st.composite
def files(draw: st.DrawFn) -> File:
    """A file without our entry, or with it in any TOML notation."""
    root = draw(remarks) + draw(bodies())
    kind = draw(st.sampled_from(["none", "table", "table", "keys", "dotted"]))
    first, last = draw(others("m")), draw(others("n"))
    tail = draw(remarks)
    if kind == "table":
        file = File(root + first + draw(remarks), draw(entries_as_tables()), tail + last + draw(remarks))
    elif kind == "keys":
        ours = draw(bodies(prefix="cyberun.")).lstrip() or "cyberun = { a = 1 } # ours\n"
        head = f"[mcp_servers] # all\n{draw(remarks)}other = {{ command = 'o' }}\n{draw(remarks)}"
        more = f"{tail}another = {{}}\n"
        file = File(root + head, _from_its_first_key(ours), more + first.replace("mcp_servers", "y") + draw(remarks))
    elif kind == "dotted":
        ours = draw(bodies(prefix="mcp_servers.cyberun.")).lstrip() or "mcp_servers.cyberun = { a = 1 }\n"
        file = File(root, _from_its_first_key(ours), tail + "zz = 1\n" + first.replace("mcp_servers", "y"))
    else:
        file = File(root + first + tail, "", "")
    return _with_line_ends(file, draw(st.sampled_from(["\n", "\r\n"])), final=draw(st.booleans()))


def _from_its_first_key(ours: str) -> str:
    """`ours` without the comments before its first key, which belong to the rest of the file."""
    lines = ours.splitlines(keepends=True)
    while lines and (not lines[0].strip() or lines[0].lstrip().startswith("#")):
        del lines[0]
    return "".join(lines)


def _with_line_ends(file: File, line: str, *, final: bool) -> File:
    parts = [part.replace("\n", line) for part in (file.before, file.ours, file.after)]
    if not final:
        last = max((number for number, part in enumerate(parts) if part), default=0)
        parts[last] = parts[last].removesuffix(line)
    return File(*parts)


def valid(file: File) -> bool:
    """Whether the file parses. Generated names may clash, and such files are skipped."""
    try:
        parse(file.text)
        parse(file.before + file.after)
    except ValueError:
        return False
    return True


def servers_of(text: str) -> Any:
    return tomllib.loads(text).get("mcp_servers", {})


def line_of(file: File) -> str:
    return "\r\n" if "\r\n" in file.text else "\n"


def without_the_entry(file: File) -> set[str]:
    """The possible texts after removal. A blank line above an entry at the end may have been added with the entry."""
    rest, line = file.before + file.after, line_of(file)
    return {rest, rest.removesuffix(line)} if not file.after and rest.endswith(line * 2) else {rest}


@SLOW_GENERATION
@given(files().filter(valid))
def test_removing_an_entry_removes_nothing_else(file: File) -> None:
    assert remove_entry(file.text, "mcp_servers", "cyberun") in without_the_entry(file)


@SLOW_GENERATION
@given(files().filter(valid))
def test_writing_an_entry_changes_nothing_else(file: File) -> None:
    written = set_entry(file.text, "mcp_servers", "cyberun", ENTRY)
    assert servers_of(written) == servers_of(file.before + file.after) | {"cyberun": ENTRY}
    assert written.startswith(file.before)
    assert written.endswith(file.after)
    assert "\r" not in written.replace("\r\n", "")
    assert set_entry(written, "mcp_servers", "cyberun", ENTRY) == written


@SLOW_GENERATION
@given(files().filter(valid))
def test_a_written_entry_can_be_removed_again(file: File) -> None:
    removed = remove_entry(set_entry(file.text, "mcp_servers", "cyberun", ENTRY), "mcp_servers", "cyberun")
    # A file without a line end at its end gets one when something is written below.
    assert removed in without_the_entry(file) | {file.text + line_of(file)}
