"""The `cyberun-mcp` command. Heavy imports happen inside the command that needs them, so that --help is quick."""

import gc
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.core import ParameterSource

from cyberun_mcp import __version__
from cyberun_mcp.clients.command import config
from cyberun_mcp.doctor.command import doctor
from cyberun_mcp.http.settings import ENV_PREFIX, HttpSettings
from cyberun_mcp.observability.stderr import finish_stderr
from cyberun_mcp.settings import Settings, flagged_fields, flags_of, options, settings_from

if TYPE_CHECKING:
    from cyberun_mcp.pipes.claim import StdioPipes

EMULATOR_PORT = 8787

emulator_option = click.option(
    "--emulator",
    is_flag=True,
    help="Use an embedded platform instead of Cyberun Cloud: no account, no GPU, real files.",
)


@click.group(invoke_without_command=True)
@options
@emulator_option
@click.version_option(__version__, prog_name="cyberun-mcp")
@click.pass_context
def cli(context: click.Context, /, emulator: bool, **given: Any) -> None:
    """Give an AI client the fifteen Cyberun Cloud tools.

    Without a command this is the MCP server on stdio, which AI clients start themselves:

    \b
      CYBERUN_API_KEY=sk-… cyberun-mcp        the server on stdio, for Cyberun Cloud
      cyberun-mcp --emulator                  the same on an embedded platform, to try it out
      cyberun-mcp http --port 8000            a shared endpoint; every caller brings their own key
      cyberun-mcp bridge URL                  join a client that only speaks stdio to such an endpoint
      cyberun-mcp config CLIENT --write       connect an AI client: Claude Code, Cursor, VS Code, Codex…
      cyberun-mcp doctor                      what works here, what does not, and what to do
      cyberun-mcp demo                        see all fifteen tools at work, in half a minute
    """
    if context.invoked_subcommand is not None:
        _refuse_misplaced_options(context)
        return
    settings = _settings(given)
    _end_process(_run(lambda: _serve_stdio(settings, emulator, context.obj)))


@cli.command()
@flags_of(HttpSettings, ENV_PREFIX)
@options
@emulator_option
def http(emulator: bool, **given: Any) -> None:
    """Serve the tools at http://HOST:PORT/mcp (Streamable HTTP, stateless).

    Every request brings its own key, as `Authorization: Bearer sk-…`; this server holds none, unless it is told to act
    with its own. /livez, /readyz and /metrics tell how it is. SIGTERM lets running calls finish.
    """
    endpoint = HttpSettings(**{each.name: given.pop(each.name) for each in flagged_fields(HttpSettings)})
    settings = _settings(given)
    from cyberun_mcp.http.serve import event_loop_options

    _end_process(_run(lambda: _serve_http(settings, endpoint, emulator), event_loop_options(), reloads=True))


@cli.command("emulator")
@click.option("--port", default=EMULATOR_PORT, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps keys, tasks and files. Default: a temporary one, removed at the end.",
)
def emulator_command(port: int, data: Path | None) -> None:
    """Serve an embedded Cyberun platform on loopback, and print its URL and keys.

    It keeps the REST contract, enforces its presigned URLs and really runs its small workflows, on the CPU.
    """
    _end_process(_run(lambda: _serve_emulator(port, data)))


@cli.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("cyberun-output"),
    show_default=True,
    help="Folder for the files the workflows produce.",
)
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Also save the screen as an SVG file.")
def demo(output: Path, picture: Path | None) -> None:
    """Walk through all fifteen tools on the embedded platform, as a user's assistant would."""
    _need_emulator()
    from cyberun_mcp.demo import run_demo

    _end_process(_run(lambda: run_demo(output, picture)))


@cli.command()
@click.argument("url", default="https://core.cyberun.cloud/api/v1/mcp")
@click.option("--header", multiple=True, metavar="'NAME: ${VARIABLE}'", help="A header for every request; repeatable.")
@click.option(
    "--header-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of `Name: value` lines, readable by you alone.",
)
@click.option("--allow-http", is_flag=True, help="Send the key in clear to a host that is not this one.")
def bridge(url: str, header: tuple[str, ...], header_file: Path | None, allow_http: bool) -> None:
    """Join a client that only speaks stdio to the MCP endpoint at URL (Streamable HTTP; default: the hosted one).

    The key comes from CYBERUN_API_KEY, or whatever the remote wants from --header-file; neither from the arguments,
    which every user of this machine can see.

    A call is sent once. If its answer is lost, its error says so, and that it may have been carried out. A remote that
    sends nothing for 60 seconds is asked, again every 30 seconds, by a ping on another connection whether it is there.
    The call ends with that error when the remote could not be connected to twice in a row, when it answers the ping
    but no longer sends the comments it used to send in such pauses, and after 300 seconds without a byte in any case.
    """
    from cyberun_mcp.bridge.process import run_bridge

    _end_process(run_bridge(url, header, header_file, allow_http=allow_http))


cli.add_command(config)
cli.add_command(doctor)


def main(pipes: "StdioPipes | None" = None) -> NoReturn:
    """The command. `pipes` is what `cyberun_mcp.stdio.fast_start` hands over, when it came first."""
    from cyberun_mcp.errors import ConfigurationError

    try:
        status = cli.main(prog_name="cyberun-mcp", standalone_mode=False, obj=pipes)
    except (click.ClickException, ConfigurationError) as error:
        shown = error if isinstance(error, click.ClickException) else click.ClickException(str(error))
        shown.show()
        status = shown.exit_code
    except click.Abort:  # Ctrl-C while still importing
        status = 130
    _end_process(status or 0)


def _settings(given: dict[str, Any]) -> Settings:
    from cyberun_mcp.observability.logs import log_to_stderr

    settings = settings_from(given)
    log_to_stderr(settings.log_level, settings.log_format)
    return settings


def load_stdio(*, emulator: bool = False) -> None:
    """Import what serving on stdio takes, with or without the embedded platform.

    No garbage is collected meanwhile, since nothing imported is any: 20 of 370 ms to the first answer.
    """
    gc.disable()
    try:
        import cyberun_mcp.api.credentials
        import cyberun_mcp.server
        import cyberun_mcp.stdio.serve

        if emulator:
            with suppress(ImportError):  # `_need_emulator` says so
                import cyberun_mcp.emulator.lifecycle  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()


async def _serve_stdio(settings: Settings, emulator: bool, pipes: "StdioPipes | None") -> int:
    load_stdio()
    from cyberun_mcp.api.credentials import credential_from
    from cyberun_mcp.errors import MissingKey
    from cyberun_mcp.server import build_server
    from cyberun_mcp.stdio.serve import serve_stdio
    from cyberun_mcp.tools.in_flight_calls import CallsInFlight

    async with _platform(settings, emulator) as chosen:
        try:
            credential_from(chosen.api_key, chosen.team_id)
        except MissingKey as error:
            _say(f"Starting without a key; every tool will say so. {error}")
        in_flight = CallsInFlight()
        server = build_server(chosen, lambda _: credential_from(chosen.api_key, chosen.team_id), in_flight=in_flight)
        return await serve_stdio(server, pipes, in_flight)


async def _serve_http(settings: Settings, endpoint: HttpSettings, emulator: bool) -> int:
    from cyberun_mcp.http.app import PATH
    from cyberun_mcp.http.serve import check, listen, serve
    from cyberun_mcp.http.workers import serve_with_workers

    host, port = endpoint.host, endpoint.port
    async with _platform(settings, emulator) as chosen:
        try:
            tokens = check(chosen, endpoint)
            listener = listen(host, port)
        except OSError as error:
            raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error
        if emulator:
            _say(f"Callers of this endpoint use the embedded platform's key: {chosen.api_key}")
        shown = f"[{host}]" if ":" in host else host
        _say(f"MCP endpoint: http://{shown}:{listener.getsockname()[1]}{PATH} (platform: {chosen.base_url})")
        return await (serve if endpoint.workers == 1 else serve_with_workers)(chosen, endpoint, listener, tokens)


async def _serve_emulator(port: int, data: Path | None) -> int:
    import signal

    import anyio

    _need_emulator()
    from cyberun_mcp.emulator import DataDirectoryError, emulator
    from cyberun_mcp.signals import receive_signals

    try:
        async with emulator(port=port, data=data) as platform:
            click.echo(f"CYBERUN_BASE_URL={platform.base_url}\nCYBERUN_API_KEY={platform.api_key}")
            click.echo(f"# a viewer of the same team, who may only read: {platform.viewer_key}")
            click.echo(f"# another team: {platform.other_team_key}")
            click.echo(f"# a user, with CYBERUN_TEAM_ID={platform.team_id}: {platform.jwt}")
            _say("The embedded platform is running; Ctrl-C ends it.")
            if sys.platform == "win32":
                await anyio.sleep_forever()
            with receive_signals(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    break
    except (OSError, DataDirectoryError) as error:
        raise click.ClickException(f"the embedded platform cannot start on port {port}: {error}") from error
    return 0


@asynccontextmanager
async def _platform(settings: Settings, emulated: bool) -> AsyncIterator[Settings]:
    """The settings to serve with: as given, or pointing at an emulator that runs meanwhile."""
    if not emulated:
        yield settings
        return
    _need_emulator()
    from cyberun_mcp.emulator import emulator

    async with emulator() as platform:
        _say(f"Embedded platform at {platform.base_url}")
        yield replace(settings, base_url=platform.base_url, api_key=platform.api_key, team_id=None)


def _run(
    program: Callable[[], Awaitable[int]], event_loop: dict[str, Any] | None = None, *, reloads: bool = False
) -> int:
    import anyio

    from cyberun_mcp.signals import run_until_signal

    try:
        return anyio.run(lambda: run_until_signal(program, reloads=reloads), backend_options=event_loop)
    except KeyboardInterrupt:
        return 130


def _end_process(status: int) -> NoReturn:
    """Leave at once: a thread may still be waiting for stdin, and nothing could wake it (python-sdk issue 3551)."""
    with suppress(AttributeError, OSError):  # closed from the start, or nobody reads it any more
        sys.stdout.flush()
    finish_stderr()
    os._exit(status)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _need_emulator() -> None:
    try:
        import PIL  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        raise click.ClickException(
            "the embedded platform needs an extra: install 'cyberun-mcp[emulator]' instead of 'cyberun-mcp'"
        ) from None


def _refuse_misplaced_options(context: click.Context) -> None:
    command = context.invoked_subcommand or ""
    known = {each.name for each in cli.commands[command].params}
    for name in context.params:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flag = "--" + name.replace("_", "-")
            advice = f"put it after the command: cyberun-mcp {command} {flag} …" if name in known else "leave it out"
            raise click.UsageError(f"{flag} before {command} has no effect; {advice}")
