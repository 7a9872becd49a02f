"""The settings of the HTTP endpoint: whom it lets in, how much of it one caller gets, and how it ends.

Fields are flags of `cyberun-mcp http` and environment variables (`CYBERUN_HTTP_` + name), as in `settings`.
"""

import sys
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import click

from cyberun_mcp.errors import ConfigurationError
from cyberun_mcp.settings import Settings, is_loopback, setting

ENV_PREFIX = "CYBERUN_HTTP_"
FAMILIES = ("sk", "dk", "jwt")
KIB = 2**10
MIB = 2**20

_EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def families(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Credential families, separated by commas."""
    named = value if isinstance(value, tuple) else tuple(each.strip() for each in value.split(","))
    if not set(named) <= set(FAMILIES):
        raise click.BadParameter(f"{value!r}: expected some of {', '.join(FAMILIES)}, separated by commas")
    return named


def network(value: str) -> IPv4Network | IPv6Network:
    """An address or a CIDR block."""
    try:
        return ip_network(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@dataclass(frozen=True)
class HttpSettings:
    """What one endpoint was told. Times are in seconds; limits hold for each worker process."""

    host: str = setting("127.0.0.1", "Address to listen on.", click.STRING)
    port: int = setting(8000, "Port to listen on; 0 takes a free one.", click.IntRange(0, 65535))
    accept: tuple[str, ...] = setting(
        ("sk",), "Kinds of key callers may bring: sk, dk, jwt, by commas. A JWT comes with X-Team-ID.", families
    )
    check_key: bool = setting(
        False, "Ask the platform about a key before its first call: a dead one is a 401.", None, is_flag=True
    )
    own_key: bool = setting(
        False,
        "Act with this server's own key, CYBERUN_API_KEY, for every caller; beyond this machine, or behind a proxy, "
        "only with --client-tokens.",
        None,
        is_flag=True,
    )
    client_tokens: Path | None = setting(
        None,
        "With --own-key: file with one SHA-256 (hex) per line of the bearer tokens let in. SIGHUP reads it again; a "
        "file that cannot be used leaves the old tokens in force, and the log says why.",
        _EXISTING_FILE,
    )
    allowed_host: tuple[str, ...] = setting(
        (), "Host name clients may use besides loopback's; repeatable.", click.STRING, multiple=True
    )
    allowed_origin: tuple[str, ...] = setting(
        (), "Origin whose pages may call, e.g. https://app.example.com; repeatable.", click.STRING, multiple=True
    )
    trusted_proxy: tuple[IPv4Network | IPv6Network, ...] = setting(
        (), "Address or CIDR of a proxy whose X-Forwarded headers are believed; repeatable.", network, multiple=True
    )
    max_body: float = setting(
        4.0, "MiB the body of one request may have, in at most 10,000 chunks.", click.FloatRange(0.01, 64)
    )
    max_headers: float = setting(
        32.0, "KiB the request line and headers may have; at most 100 headers.", click.FloatRange(1, 1024)
    )
    headers_seconds: float = setting(
        10.0, "Seconds the request line and headers may take to arrive.", click.FloatRange(0.01, 3600)
    )
    body_seconds: float = setting(60.0, "Seconds the body may take to arrive after them.", click.FloatRange(0.01, 3600))
    # Longer than proxies keep theirs, so that they are the ones to close.
    idle_seconds: float = setting(
        75.0, "Seconds a connection may stay open without a request.", click.FloatRange(0.01, 86_400)
    )
    max_calls: int = setting(0, "Calls one key may have running; 0: any number.", click.IntRange(0))
    max_rate: float = setting(0.0, "Requests a second one key may send; 0: any number.", click.FloatRange(0))
    drain_seconds: float = setting(
        30.0,
        "Seconds running calls may take to finish once told to stop; half a request has 1.",
        click.FloatRange(0, 3600),
    )
    workers: int = setting(1, "Processes to serve with; one for each core.", click.IntRange(1, 64))

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)


def reject_unsafe_settings(endpoint: HttpSettings, settings: Settings) -> None:
    """Raise ConfigurationError, with the flag to set, where the settings would let strangers in or contradict."""
    if endpoint.own_key and not settings.api_key:
        raise ConfigurationError("--own-key needs a key to act with: set CYBERUN_API_KEY.")
    if endpoint.own_key and not endpoint.client_tokens and (opening := _opening(endpoint)):
        raise ConfigurationError(
            f"--own-key with {opening} would let anyone who can connect run workflows at your team's cost. Name the "
            "clients it lets in with --client-tokens FILE, let callers bring their own keys by leaving out --own-key, "
            "or serve this machine alone: --host 127.0.0.1, without a proxy before it."
        )
    if endpoint.client_tokens and not endpoint.own_key:
        raise ConfigurationError("--client-tokens goes with --own-key; without it every caller brings their own key.")
    if endpoint.check_key and endpoint.own_key:
        raise ConfigurationError("--check-key is about the callers' keys, and with --own-key they bring none.")
    if endpoint.workers > 1 and sys.platform == "win32":
        raise ConfigurationError("--workers needs a POSIX system.")


def _opening(endpoint: HttpSettings) -> str | None:
    """The first setting that lets others than this machine's own programs connect. A proxy connects from loopback."""
    if not endpoint.on_loopback:
        return f"--host {endpoint.host}"
    for name in endpoint.allowed_host:
        if not is_loopback(_host_of(f"//{name}")):
            return f"--allowed-host {name}"
    for origin in endpoint.allowed_origin:
        if not is_loopback(_host_of(origin)):
            return f"--allowed-origin {origin}"
    return "--trusted-proxy" if endpoint.trusted_proxy else None


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
