"""The skill: in the format of agentskills.io, and true to our tools."""

import re
from pathlib import Path

import pytest

from cyberun_mcp.tools import TOOLS

FILE = Path(__file__).parents[2] / "configs" / "skills" / "cyberun" / "SKILL.md"
TEXT = FILE.read_text(encoding="utf-8")
FRONT, BODY = TEXT.removeprefix("---\n").split("\n---\n", 1)
FIELDS = dict(line.split(": ", 1) for line in FRONT.splitlines())


def test_the_front_matter_is_as_the_format_wants_it() -> None:
    assert set(FIELDS) <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
    assert FIELDS["name"] == FILE.parent.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", FIELDS["name"])
    assert 1 <= len(FIELDS["description"]) <= 1024
    assert len(FIELDS["compatibility"]) <= 500
    assert not re.search(r": |^[\[{>|*&!%@`'\"]", FIELDS["description"]), "YAML would not read this as one plain text"
    assert len(BODY.splitlines()) <= 500


@pytest.mark.parametrize("name", [each.name for each in TOOLS])
def test_every_tool_has_its_place(name: str) -> None:
    assert f"`{name}`" in BODY


def test_every_argument_and_field_it_names_exists() -> None:
    known = {each.name for each in TOOLS}
    for each in TOOLS:
        for schema in (each.listing.input_schema, each.listing.output_schema or {}):
            known |= _names(schema)
    named = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", BODY))
    elsewhere = {"cyberun_api_key"}
    assert named - known - elsewhere == set()


def _names(schema: object) -> set[str]:
    if isinstance(schema, dict):
        own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
        return own.union(*(_names(each) for each in schema.values()))
    return set()


def test_it_is_short_enough_to_be_read_whole() -> None:
    assert len(TEXT) < 8_000
