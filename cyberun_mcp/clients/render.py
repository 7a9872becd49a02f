"""Renders the configuration of an AI client: the entry for our server, alone or as a whole file."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from cyberun_mcp.clients.ai_client import KEY_VARIABLE, AiClient

SERVER_NAME = "cyberun"
MAX_WAIT = 3_600  # in seconds; the largest `timeout_seconds` of stream_task_events
PLACEHOLDER = "PUT-YOUR-KEY-HERE"

ConnectionKind = Literal["stdio", "http", "bridge"]


class ConnectionNotSupported(Exception):
    """The client does not support this kind of connection. The text names one that it does support."""


@dataclass(frozen=True)
class ConnectionOptions:
    """How a client connects to us: a server that it starts, an HTTP endpoint, or our bridge to an HTTP endpoint.

    `command` starts our program. `key` is written into the file if the client cannot read an environment variable.
    """

    kind: ConnectionKind = "stdio"
    url: str = ""
    emulator: bool = False
    command: tuple[str, ...] = ("cyberun-mcp",)
    key: str = PLACEHOLDER

    @property
    def arguments(self) -> list[str]:
        """The arguments of the command."""
        bridge = ["bridge", self.url] if self.kind == "bridge" else []
        return [*self.command[1:], *bridge, *(["--emulator"] if self.emulator else [])]


def supported_kinds(client: AiClient) -> list[ConnectionKind]:
    """The kinds of connection that the client supports."""
    return ["stdio", "http", "bridge"] if client.http_fields is not None else ["stdio", "bridge"]


def key_is_in_file(client: AiClient, options: ConnectionOptions) -> bool:
    """Whether the file has to contain the key, because the client cannot read it from its environment."""
    if options.emulator or client.variable_syntax:
        return False
    if options.kind == "http":
        return not client.bearer_variable_field
    return not (client.env_names_field or client.inherits_environment)


def server_entry(client: AiClient, options: ConnectionOptions) -> dict[str, Any]:
    """The entry for our server in the configuration of the client. Raises ConnectionNotSupported."""
    if options.kind == "http":
        return _endpoint_fields(client, options) | _timeout_fields(client)
    command, arguments = options.command[0], options.arguments
    started = {"command": [command, *arguments]} if client.command_is_list else {"command": command, "args": arguments}
    return client.stdio_fields | started | _env_fields(client, options) | _timeout_fields(client)


def config_text(client: AiClient, options: ConnectionOptions) -> str:
    """A whole configuration file with only our server in it. Raises ConnectionNotSupported."""
    entry = server_entry(client, options)
    if client.format != "toml":
        return json.dumps({client.section: {SERVER_NAME: entry}}, indent=2) + "\n"
    from cyberun_mcp.clients import toml_editing

    return toml_editing.set_entry("", client.section, SERVER_NAME, entry)


def _endpoint_fields(client: AiClient, options: ConnectionOptions) -> dict[str, Any]:
    if client.http_fields is None:
        raise ConnectionNotSupported(f"{client.title} only speaks stdio: connect it with --bridge {options.url}")
    fields = client.http_fields | {client.url_field: options.url}
    if client.bearer_variable_field:
        return fields | {client.bearer_variable_field: KEY_VARIABLE}
    return fields | {"headers": {"Authorization": f"Bearer {client.variable_syntax or options.key}"}}


def _env_fields(client: AiClient, options: ConnectionOptions) -> dict[str, Any]:
    if options.emulator:
        return {}
    if client.env_names_field:
        return {client.env_names_field: [KEY_VARIABLE]}
    if client.variable_syntax:
        return {client.env_field: {KEY_VARIABLE: client.variable_syntax}}
    return {} if client.inherits_environment else {client.env_field: {KEY_VARIABLE: options.key}}


def _timeout_fields(client: AiClient) -> dict[str, int]:
    """The client's time limit, set to the longest wait, so that it does not abandon a call that we still answer."""
    if not client.timeout_field:
        return {}
    return {client.timeout_field: MAX_WAIT * (1000 if client.timeout_unit == "ms" else 1)}
