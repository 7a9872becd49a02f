"""From environment variables and flags to one frozen `Settings`.

Each field defines a setting, its environment variable (`CYBERUN_` + name), its flag, its `--help` text and its row in
the README. `options` turns the fields into command-line options.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

DEFAULT_BASE_URL = "https://core.cyberun.cloud/api/v1"
ENV_PREFIX = "CYBERUN_"
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")

Command = TypeVar("Command", bound=Callable[..., Any])


def base_url(value: str) -> str:
    """An absolute http(s) URL without a trailing slash. Plain http is for loopback only, because requests carry a key.

    Raises click.BadParameter.
    """
    try:
        url = urlsplit(value.strip())
        host = url.hostname
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a URL: {error}") from error
    if url.scheme not in ("http", "https") or not host or url.query or url.fragment or url.username:
        raise click.BadParameter(f"expected a URL such as {DEFAULT_BASE_URL}, without query or credentials")
    if url.scheme == "http" and not is_loopback(host):
        raise click.BadParameter("plain http would send your key in clear; use https (http is for loopback only)")
    return url.geturl().rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name or an address is loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def setting(default: Any, help_text: str, kind: Any, **more: Any) -> Any:
    """A field that is also a flag; `kind` is its click type, and `more` goes to `click.option`."""
    return field(default=default, metadata={"help": help_text, "kind": kind, "more": more})


@dataclass(frozen=True)
class Settings:
    """The settings of one server process. Times are in seconds."""

    # Not a flag, because every user of the machine can see the arguments of a process. Not in the repr.
    api_key: str | None = field(default=None, repr=False)
    base_url: str = setting(DEFAULT_BASE_URL, "The Cyberun REST API.", base_url)
    team_id: str | None = setting(None, "The team a JWT acts for; sk- and dk- keys carry theirs.", click.STRING)
    request_timeout: float = setting(
        30.0, "Seconds to wait for one answer of the platform.", click.FloatRange(0.1, 600)
    )
    connect_timeout: float = setting(5.0, "Seconds to wait for a connection.", click.FloatRange(0.1, 60))
    pool_timeout: float = setting(
        5.0, "Seconds to queue for a connection when all are in use.", click.FloatRange(0.1, 60)
    )
    call_timeout: float = setting(
        50.0, "Seconds one tool call may take, retries included; many clients give up at 60.", click.FloatRange(1, 3600)
    )
    events_idle: float = setting(
        15.0,
        "Seconds without an event after which the task is asked for its state.",
        click.FloatRange(0.1, 600),
    )
    poll_interval: float = setting(
        3.0, "Seconds between two questions where the event stream is blocked.", click.FloatRange(0.05, 60)
    )
    body: str = setting(
        "both",
        "What call_container_service returns of a short text body: base64 and text, or text alone.",
        click.Choice(("both", "text")),
    )
    log_level: str = setting("info", "How much to say on stderr.", click.Choice(LOG_LEVELS, case_sensitive=False))
    log_format: str = setting(
        "text", "How to say it: lines to read, or one JSON object each.", click.Choice(LOG_FORMATS)
    )


def env_name(name: str, prefix: str = ENV_PREFIX) -> str:
    """The environment variable of a setting: `base_url` → `CYBERUN_BASE_URL`."""
    return prefix + name.upper()


def flag_name(name: str) -> str:
    """The flag of a setting: `base_url` → `--base-url`."""
    return "--" + name.replace("_", "-")


def flagged_fields(settings: type[Any] = Settings) -> list[Field[Any]]:
    """The fields that have a flag, in the order of `--help`."""
    return [setting_field for setting_field in fields(settings) if setting_field.metadata]


def flags_of(settings: type[Any], prefix: str) -> Callable[[Command], Command]:
    """A decorator that adds one option per flagged field to a click command, each with its environment variable."""

    def decorate(command: Command) -> Command:
        for setting_field in reversed(flagged_fields(settings)):
            command = click.option(
                flag_name(setting_field.name),
                setting_field.name,
                type=setting_field.metadata["kind"],
                envvar=env_name(setting_field.name, prefix),
                default=setting_field.default,
                show_default=setting_field.default not in (None, ()),
                show_envvar=True,
                help=setting_field.metadata["help"],
                **setting_field.metadata["more"],
            )(command)
        return command

    return decorate


def options(command: Command) -> Command:
    """Add the options of `Settings`, and `--api-key-file`, to a click command."""
    command = flags_of(Settings, ENV_PREFIX)(command)
    return click.option(
        "--api-key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="CYBERUN_API_KEY_FILE",
        show_envvar=True,
        help="File holding your key; or put the key itself (sk-…, dk-…, or a JWT) into CYBERUN_API_KEY.",
    )(command)


def settings_from(parsed_options: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """One `Settings` from parsed options. The key comes from `--api-key-file`, else from `CYBERUN_API_KEY`."""
    values = dict(parsed_options)
    key_file: Path | None = values.pop("api_key_file")
    key = _read_key(key_file) if key_file else environ.get(env_name("api_key"), "")
    return Settings(api_key=key.strip() or None, **values)


def _read_key(file: Path) -> str:
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{file} cannot be read as text: {error}", param_hint="--api-key-file") from error
    if not key:
        raise click.BadParameter(f"{file} is empty", param_hint="--api-key-file")
    return key
