"""Which starts may be answered before the command has read its arguments and settings."""

import os
import sys
from contextlib import suppress

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.cli import emulator_option
from cyberun_mcp.errors import MissingKey
from cyberun_mcp.settings import flag_name, flagged_fields, options, settings_from
from cyberun_mcp.stdio.standard_start import _CERTAIN, is_standard

SETTINGS = st.from_regex(_CERTAIN, fullmatch=True).map(lambda setting: setting.partition("=")[::2])


def flags(setting: tuple[str, str], joined: bool) -> list[str]:
    """The arguments that give a setting instead of the environment."""
    flag = "--" + setting[0].removeprefix("CYBERUN_").lower().replace("_", "-")
    return [f"{flag}={setting[1]}"] if joined else [flag, setting[1]]


ARGUMENTS = st.lists(st.builds(flags, SETTINGS, st.booleans()) | st.just(["--emulator"])).map(
    lambda groups: [argument for group in groups for argument in group]
)


def error_of(arguments: list[str], environ: dict[str, str]) -> BaseException | None:
    """What the command has to say against a start."""

    @click.command()
    @options
    @emulator_option
    def start(emulator: bool, **fields: object) -> None:
        chosen = settings_from(fields, environ)
        assert chosen.body == "both"
        with suppress(MissingKey):  # the server starts, and its tools say so
            credential_from(chosen.api_key, chosen.team_id)

    return CliRunner().invoke(start, arguments, env={**dict.fromkeys(os.environ), **environ}).exception


@settings(max_examples=150, deadline=None)
@given(st.lists(SETTINGS).map(dict))
def test_standard_settings_are_always_accepted(environ: dict[str, str]) -> None:
    assert is_standard([], environ)
    assert error_of([], environ) is None


@settings(max_examples=300, deadline=None)
@given(ARGUMENTS)
def test_standard_arguments_are_always_accepted(arguments: list[str]) -> None:
    if is_standard(arguments, {}):
        assert error_of(arguments, {}) is None


@pytest.mark.parametrize(
    "setting",
    [
        "CYBERUN_API_KEY=ak-12345678",
        "CYBERUN_API_KEY=eyJhbGciOi.x.y",
        "CYBERUN_API_KEY=sk-with blank",
        "CYBERUN_API_KEY_FILE=/run/secrets/key",
        "CYBERUN_BASE_URL=http://example.com",
        "CYBERUN_BASE_URL=ftp://example.com",
        "CYBERUN_BODY=text",
        "CYBERUN_CALL_TIMEOUT=0.5",
        "CYBERUN_REQUEST_TIMEOUT=soon",
        "CYBERUN_LOG_LEVEL=loud",
        "CYBERUN_SOMETHING_NEW=1",
    ],
)
def test_settings_that_might_be_refused_are_left_to_the_command(setting: str) -> None:
    name, _, value = setting.partition("=")
    assert not is_standard([], {name: value})
    assert not is_standard(flags((name, value), joined=True), {})
    assert not is_standard(flags((name, value), joined=False), {})


@pytest.mark.parametrize(
    "arguments",
    [
        ["--emulator"],
        ["--log-level", "debug"],
        ["--log-level=debug", "--emulator", "--call-timeout", "30"],
        ["--base-url", "https://cyberun.example/api/v1", "--team-id=t-1"],
    ],
)
def test_arguments_that_leave_the_tools_as_they_are_keep_a_start_standard(arguments: list[str]) -> None:
    assert is_standard(arguments, {})


@pytest.mark.parametrize(
    "arguments",
    [
        ["http"],
        ["--help"],
        ["--version"],
        ["--body", "text"],
        ["--emulator=1"],
        ["--team-id"],
        ["--team-id", ""],
        ["--team-id", "--emulator"],
        ["--log_level", "debug"],
        ["--api-key", "sk-12345678"],
        ["--", "--emulator"],
        ["--emulator", "http"],
    ],
)
def test_other_arguments_are_left_to_the_command(arguments: list[str]) -> None:
    assert not is_standard(arguments, {})


def test_every_flag_but_those_that_change_the_tools_may_be_given() -> None:
    values = {"base_url": "https://x.example", "team_id": "t", "log_level": "info", "log_format": "json"}
    refused = {
        field.name
        for field in flagged_fields()
        if not is_standard([flag_name(field.name), values.get(field.name, "1")], {})
    }
    assert refused == {"body"}


def test_without_the_extra_the_command_says_that_the_emulator_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert not is_standard(["--emulator"], {})
    assert is_standard([], {})
