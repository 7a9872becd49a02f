"""`cyberun-mcp config`. It imports the table of clients and the editors only when they are needed."""

from typing import TYPE_CHECKING

import click

from cyberun_mcp.settings import base_url

if TYPE_CHECKING:
    from cyberun_mcp.clients.ai_client import AiClient
    from cyberun_mcp.clients.machine import Machine
    from cyberun_mcp.clients.render import ConnectionOptions


@click.command()
@click.argument("client", required=False)
@click.option(
    "--http",
    "endpoint",
    metavar="URL",
    callback=lambda _c, _p, url: url and base_url(url),
    help="Connect it to a Streamable HTTP endpoint.",
)
@click.option(
    "--bridge",
    metavar="URL",
    callback=lambda _c, _p, url: url and base_url(url),
    help="Let it start a bridge to an endpoint: for clients that only speak stdio.",
)
@click.option("--emulator", is_flag=True, help="Let it start the server on an embedded platform: no key needed.")
@click.option("--write", is_flag=True, help="Put it into the client's own file; everything else in it stays.")
@click.option("--remove", is_flag=True, help="Take it out of the client's own file again.")
@click.option("--list", "listing", is_flag=True, help="Show the clients, and which of them are on this machine.")
def config(
    client: str | None,
    endpoint: str | None,
    bridge: str | None,
    emulator: bool,
    write: bool,
    remove: bool,
    listing: bool,
) -> None:
    """Print what connects CLIENT to Cyberun, or put it where the client reads it.

    \b
      cyberun-mcp config --list                     which clients there are, and which are here
      cyberun-mcp config cursor                     print it
      cyberun-mcp config cursor --write             put it into Cursor's own file
      cyberun-mcp config codex --http URL --write   connect Codex to a shared endpoint
      cyberun-mcp config cursor --remove            undo it
    """
    if listing:
        _list_clients()
        return
    if client is None:
        raise click.UsageError("name a client; cyberun-mcp config --list shows them")
    if sum(map(bool, (endpoint, bridge, emulator))) > 1:
        raise click.UsageError("--http, --bridge and --emulator are three ways to connect; choose one")
    if write and remove:
        raise click.UsageError("choose one of --write and --remove")
    ai_client = _find_client(client)
    if remove:
        _remove(ai_client)
        return
    options = _connection_options(endpoint, bridge, emulator)
    _write(ai_client, options) if write else _print(ai_client, options)


def _find_client(name: str) -> "AiClient":
    from cyberun_mcp.clients.table import BY_NAME

    if name not in BY_NAME:
        raise click.UsageError(f"{name!r} is none of the clients we know: {', '.join(BY_NAME)}")
    return BY_NAME[name]


def _connection_options(endpoint: str | None, bridge: str | None, emulator: bool) -> "ConnectionOptions":
    from cyberun_mcp.clients.machine import own_command
    from cyberun_mcp.clients.render import ConnectionOptions

    if endpoint:
        return ConnectionOptions("http", endpoint)
    return ConnectionOptions("bridge" if bridge else "stdio", bridge or "", emulator, own_command())


def _print(client: "AiClient", options: "ConnectionOptions") -> None:
    from cyberun_mcp.clients.machine import Machine
    from cyberun_mcp.clients.render import ConnectionNotSupported, config_text, key_is_in_file

    try:
        click.echo(config_text(client, options), nl=False)
    except ConnectionNotSupported as error:
        raise click.ClickException(str(error)) from error
    destination = Machine().config_file(client) or client.paste_into
    click.echo(f"For {client.title}: {destination}", err=True)
    if key_is_in_file(client, options):
        click.echo(f"{client.title} cannot read CYBERUN_API_KEY from its environment: put the key in.", err=True)


def _write(client: "AiClient", options: "ConnectionOptions") -> None:
    from cyberun_mcp.clients.config_file import ConfigFileError, write_entry
    from cyberun_mcp.clients.machine import Machine
    from cyberun_mcp.clients.render import ConnectionNotSupported

    try:
        result = write_entry(client, options, Machine())
    except (ConfigFileError, ConnectionNotSupported) as error:
        raise click.ClickException(str(error)) from error
    if not result.changed:
        click.echo(f"{result.file} already says so; nothing was changed.", err=True)
        return
    click.echo(f"Wrote {result.file}." + (f" What was there: {result.backup}" if result.backup else ""), err=True)
    if result.contains_key:
        click.echo(f"{client.title} cannot read the environment, so your key now stands in this file.", err=True)
    click.echo(f"Restart {client.title} to use it; cyberun-mcp doctor checks it.", err=True)


def _remove(client: "AiClient") -> None:
    from cyberun_mcp.clients.config_file import ConfigFileError, remove_entry
    from cyberun_mcp.clients.machine import Machine

    try:
        result = remove_entry(client, Machine())
    except ConfigFileError as error:
        raise click.ClickException(str(error)) from error
    if result.changed:
        click.echo(f"Removed from {result.file}. What was there: {result.backup}", err=True)
    else:
        click.echo(f"Nothing of ours in {result.file}.", err=True)


def _list_clients() -> None:
    from cyberun_mcp.clients.machine import Machine
    from cyberun_mcp.clients.table import CLIENTS

    machine = Machine()
    for client in CLIENTS:
        state, file = _state_of(client, machine), machine.config_file(client) or "-"
        click.echo(f"{client.name:15} {client.title:24} {state:18} {file}")


def _state_of(client: "AiClient", machine: "Machine") -> str:
    from cyberun_mcp.clients.config_file import ConfigFileError, read_entry

    try:
        entry = read_entry(client, machine.config_file(client))
    except ConfigFileError:
        return "cannot be parsed"
    if entry is not None:
        return "connected"
    return "installed" if machine.has(client) else "not found"
