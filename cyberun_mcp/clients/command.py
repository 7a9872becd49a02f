"""`cyberun-mcp config`: print, write, remove, list. Clients and editors are loaded when a command needs them."""

from typing import TYPE_CHECKING

import click

from cyberun_mcp.settings import base_url

if TYPE_CHECKING:
    from cyberun_mcp.clients.description import Client
    from cyberun_mcp.clients.paths import Machine
    from cyberun_mcp.clients.render import Connection


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
        _list()
        return
    if client is None:
        raise click.UsageError("name a client; cyberun-mcp config --list shows them")
    if sum(map(bool, (endpoint, bridge, emulator))) > 1:
        raise click.UsageError("--http, --bridge and --emulator are three ways to connect; choose one")
    if write and remove:
        raise click.UsageError("choose one of --write and --remove")
    chosen = _client(client)
    if remove:
        _remove(chosen)
        return
    connection = _connection(endpoint, bridge, emulator)
    _write(chosen, connection) if write else _print(chosen, connection)


def _client(name: str) -> "Client":
    from cyberun_mcp.clients.table import BY_NAME

    if name not in BY_NAME:
        raise click.UsageError(f"{name!r} is none of the clients we know: {', '.join(BY_NAME)}")
    return BY_NAME[name]


def _connection(endpoint: str | None, bridge: str | None, emulator: bool) -> "Connection":
    from cyberun_mcp.clients.paths import own_command
    from cyberun_mcp.clients.render import Connection

    if endpoint:
        return Connection("http", endpoint)
    return Connection("bridge" if bridge else "stdio", bridge or "", emulator, own_command())


def _print(client: "Client", connection: "Connection") -> None:
    from cyberun_mcp.clients.paths import Machine
    from cyberun_mcp.clients.render import NotSupported, text_of, writes_the_key

    try:
        click.echo(text_of(client, connection), nl=False)
    except NotSupported as error:
        raise click.ClickException(str(error)) from error
    place = Machine().file_of(client) or client.paste
    click.echo(f"For {client.title}: {place}", err=True)
    if writes_the_key(client, connection):
        click.echo(f"{client.title} cannot read CYBERUN_API_KEY from its environment: put the key in.", err=True)


def _write(client: "Client", connection: "Connection") -> None:
    from cyberun_mcp.clients.configure import Refused, write
    from cyberun_mcp.clients.paths import Machine
    from cyberun_mcp.clients.render import NotSupported

    try:
        done = write(client, connection, Machine())
    except (Refused, NotSupported) as error:
        raise click.ClickException(str(error)) from error
    if not done.changed:
        click.echo(f"{done.file} already says so; nothing was changed.", err=True)
        return
    click.echo(f"Wrote {done.file}." + (f" What was there: {done.copy}" if done.copy else ""), err=True)
    if done.key_in_clear:
        click.echo(f"{client.title} cannot read the environment, so your key now stands in this file.", err=True)
    click.echo(f"Restart {client.title} to use it; cyberun-mcp doctor checks it.", err=True)


def _remove(client: "Client") -> None:
    from cyberun_mcp.clients.configure import Refused, remove
    from cyberun_mcp.clients.paths import Machine

    try:
        done = remove(client, Machine())
    except Refused as error:
        raise click.ClickException(str(error)) from error
    if done.changed:
        click.echo(f"Removed from {done.file}. What was there: {done.copy}", err=True)
    else:
        click.echo(f"Nothing of ours in {done.file}.", err=True)


def _list() -> None:
    from cyberun_mcp.clients.paths import Machine
    from cyberun_mcp.clients.table import CLIENTS

    machine = Machine()
    for client in CLIENTS:
        click.echo(f"{client.name:15} {client.title:24} {_state(client, machine):18} {machine.file_of(client) or '-'}")


def _state(client: "Client", machine: "Machine") -> str:
    from cyberun_mcp.clients.configure import Refused, present_entry

    try:
        found = present_entry(client, machine.file_of(client))
    except Refused:
        return "cannot be parsed"
    if found is not None:
        return "connected"
    return "installed" if machine.has(client) else "not found"
