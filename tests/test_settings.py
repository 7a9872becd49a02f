"""Environment and flags become one `Settings`, or a message that says what to change."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cyberun_mcp.settings import Settings, env_name, flagged_fields, options, settings_from


@click.command()
@options
def show(**given: object) -> None:
    settings = settings_from(given)
    click.echo(f"{settings} key={settings.api_key}")


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(show, arguments, env=environment)


def test_defaults_are_the_hosted_platform_and_bounded_times() -> None:
    result = invoke()
    assert result.exit_code == 0
    assert "base_url='https://core.cyberun.cloud/api/v1'" in result.output
    assert "request_timeout=30.0" in result.output


def test_a_flag_wins_over_the_environment() -> None:
    result = invoke("--request-timeout", "7", CYBERUN_REQUEST_TIMEOUT="9", CYBERUN_BASE_URL="https://h/api/v1/")
    assert "request_timeout=7.0" in result.output
    assert "base_url='https://h/api/v1'" in result.output


def test_every_setting_has_its_environment_variable_and_shows_it_in_the_help() -> None:
    text = invoke("--help").output
    for each in flagged_fields():
        assert env_name(each.name) in text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CYBERUN_REQUEST_TIMEOUT", "0", "not in the range"),
        ("CYBERUN_REQUEST_TIMEOUT", "soon", "not a valid float"),
        ("CYBERUN_LOG_LEVEL", "loud", "is not one of"),
        ("CYBERUN_BASE_URL", "core.cyberun.cloud", "expected a URL such as https://"),
        ("CYBERUN_BASE_URL", "http://core.cyberun.cloud/api/v1", "plain http would send your key in clear"),
        ("CYBERUN_BASE_URL", "https://user:pw@h/api", "without query or credentials"),
        ("CYBERUN_BASE_URL", "http://[::1", "is not a URL"),
    ],
)
def test_a_bad_value_is_refused_naming_its_variable(name: str, value: str, words: str) -> None:
    result = invoke(**{name: value})
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert name in result.output


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe", "as text")])
def test_a_key_file_without_a_key_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    result = invoke("--api-key-file", str(file), CYBERUN_API_KEY="sk-fromenv")
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert "--api-key-file" in result.output


def test_the_key_comes_from_a_file_or_the_environment_and_no_repr_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-fromfile\n", encoding="utf-8")
    assert "key=sk-fromfile" in invoke("--api-key-file", str(file), CYBERUN_API_KEY="sk-fromenv").output
    assert "key=sk-fromenv" in invoke(CYBERUN_API_KEY=" sk-fromenv ").output
    assert "sk-" not in repr(Settings(api_key="sk-secret"))
