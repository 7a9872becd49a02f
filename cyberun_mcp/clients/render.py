"""From a client's description and a way to connect to the text its configuration file holds."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from cyberun_mcp.clients.description import KEY, Client

NAME = "cyberun"
LONGEST_CALL = 3_600  # seconds; what a caller may ask stream_task_events to wait
PLACEHOLDER = "PUT-YOUR-KEY-HERE"

Kind = Literal["stdio", "http", "bridge"]


class NotSupported(Exception):
    """The client cannot be connected in this way; the text says what it can."""


@dataclass(frozen=True)
class Connection:
    """How the client reaches us: a server it starts, an endpoint, or our bridge to an endpoint.

    `command` is our program as the client can start it. `key` stands in for the variable where the client cannot read
    one.
    """

    kind: Kind = "stdio"
    url: str = ""
    emulator: bool = False
    command: tuple[str, ...] = ("cyberun-mcp",)
    key: str = PLACEHOLDER

    @property
    def arguments(self) -> list[str]:
        """What the command is given."""
        bridge = ["bridge", self.url] if self.kind == "bridge" else []
        return [*self.command[1:], *bridge, *(["--emulator"] if self.emulator else [])]


def kinds_of(client: Client) -> list[Kind]:
    """The ways `client` can be connected."""
    return ["stdio", "http", "bridge"] if client.http is not None else ["stdio", "bridge"]


def writes_the_key(client: Client, connection: Connection) -> bool:
    """Whether the key itself has to stand in the file, because the client cannot read it from its environment."""
    if connection.emulator or client.variable:
        return False
    return not (client.bearer if connection.kind == "http" else client.passes or client.inherits)


def entry(client: Client, connection: Connection) -> dict[str, Any]:
    """The server's entry in the file of `client`. Raises NotSupported."""
    if connection.kind == "http":
        return _endpoint(client, connection) | _patience(client)
    command, arguments = connection.command[0], connection.arguments
    started = {"command": [command, *arguments]} if client.one_list else {"command": command, "args": arguments}
    return client.stdio | started | _environment(client, connection) | _patience(client)


def document(client: Client, connection: Connection) -> dict[str, Any]:
    """A whole configuration with nothing but our entry."""
    return {client.section: {NAME: entry(client, connection)}}


def text_of(client: Client, connection: Connection) -> str:
    """The file a user copies, or the text they paste."""
    whole = document(client, connection)
    if client.notation != "toml":
        return json.dumps(whole, indent=2) + "\n"
    from cyberun_mcp.clients import toml

    return toml.set_entry("", client.section, NAME, whole[client.section][NAME])


def _endpoint(client: Client, connection: Connection) -> dict[str, Any]:
    if client.http is None:
        raise NotSupported(f"{client.title} only speaks stdio: connect it with --bridge {connection.url}")
    place = {client.url: connection.url}
    if client.bearer:
        return client.http | place | {client.bearer: KEY}
    return client.http | place | {"headers": {"Authorization": f"Bearer {client.variable or connection.key}"}}


def _environment(client: Client, connection: Connection) -> dict[str, Any]:
    if connection.emulator:
        return {}
    if client.passes:
        return {client.passes: [KEY]}
    if client.variable:
        return {client.environment: {KEY: client.variable}}
    return {} if client.inherits else {client.environment: {KEY: connection.key}}


def _patience(client: Client) -> dict[str, int]:
    """As long a limit as a wait may take, so that nobody's answer is thrown away at the client's own."""
    return {client.timeout: LONGEST_CALL * (1000 if client.timeout_unit == "ms" else 1)} if client.timeout else {}
