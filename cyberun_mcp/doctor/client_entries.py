"""Checks the AI clients: whether the server in each configuration file starts, as the client would start it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from cyberun_mcp.clients.ai_client import KEY_VARIABLE, AiClient
from cyberun_mcp.clients.config_file import ConfigFileError, read_entry
from cyberun_mcp.clients.machine import Machine
from cyberun_mcp.clients.table import CLIENTS
from cyberun_mcp.doctor.findings import Finding, error, ok, warning
from cyberun_mcp.doctor.server_check import ServerCheckFailed, check_command, check_endpoint

# The variables that a server gets from a client which does not pass on its whole environment.
_ALWAYS_PASSED = ("HOME", "PATH", "LANG", "TMPDIR", "USERPROFILE", "APPDATA", "SYSTEMROOT", "TEMP")
# ${NAME}, ${NAME:-default}, ${env:NAME}, {env:NAME}, $NAME
_VARIABLE = re.compile(r"\$?\{(?:env:)?([A-Za-z_]\w*)(?::-([^}]*))?\}|\$([A-Za-z_]\w*)")


class VariableNotSet(Exception):
    """The entry refers to an environment variable that does not exist here."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"its entry needs {variable}, which is not set here")
        self.variable = variable


@dataclass(frozen=True)
class EndpointEntry:
    """An entry for an HTTP endpoint, with the values of all variables."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class CommandEntry:
    """An entry for a command and the environment that it gets, with the values of all variables."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


async def check_clients(machine: Machine) -> list[Finding]:
    """One finding for each configuration file that has our entry or cannot be parsed."""
    files = [(client, file) for client in CLIENTS for file in machine.config_files(client)]
    findings: dict[Path, Finding] = {}
    async with anyio.create_task_group() as tasks:
        for client, file in files:
            tasks.start_soon(_check_file, client, file, machine, findings)
    in_order = [findings[file] for _, file in files if file in findings]
    if not in_order:
        remedy = "cyberun-mcp config CLIENT --write; cyberun-mcp config --list has them."
        return [warning("clients", "no AI client is connected here", remedy)]
    return in_order


async def _check_file(client: AiClient, file: Path, machine: Machine, findings: dict[Path, Finding]) -> None:
    is_users = file == machine.config_file(client)
    name = client.title if is_users else f"{client.title} ({client.project_file})"
    try:
        entry = read_entry(client, file)
        if entry is not None:
            findings[file] = ok(name, await _check_entry(resolve_entry(client, entry, machine.environ)))
    except ConfigFileError as failure:
        remedy = f"Correct the file, or move it away and run cyberun-mcp config {client.name} --write."
        findings[file] = error(name, str(failure), remedy)
    except VariableNotSet as failure:
        remedy = f"export {failure.variable}=… where {client.title} starts from, or write the entry anew."
        findings[file] = error(name, str(failure), remedy)
    except ServerCheckFailed as failure:
        findings[file] = error(name, str(failure), failure.remedy.format(name=client.name))


async def _check_entry(entry: EndpointEntry | CommandEntry) -> str:
    if isinstance(entry, EndpointEntry):
        return await check_endpoint(entry.url, entry.headers)
    return await check_command(entry.command, entry.environment)


def resolve_entry(
    client: AiClient, entry: Mapping[str, Any], environ: Mapping[str, str]
) -> EndpointEntry | CommandEntry:
    """The entry as the client understands it in this environment. Raises VariableNotSet."""
    if client.url_field in entry:
        headers = _expand_values(entry.get("headers"), client, environ)
        if client.bearer_variable_field and client.bearer_variable_field in entry:
            headers["Authorization"] = f"Bearer {_value_of(str(entry[client.bearer_variable_field]), environ)}"
        return EndpointEntry(_expand(str(entry[client.url_field]), client, environ), headers)
    parts = entry.get("command", [])
    command = parts if isinstance(parts, list) else [parts, *entry.get("args", [])]
    own = _expand_values(entry.get(client.env_field), client, environ)
    names = entry.get(client.env_names_field, []) if client.env_names_field else []
    passed = {str(name): _value_of(str(name), environ) for name in names}
    inherits = client.inherits_environment
    always = dict(environ) if inherits else {name: environ[name] for name in _ALWAYS_PASSED if name in environ}
    if inherits and not own and KEY_VARIABLE not in environ and "--emulator" not in command:
        raise VariableNotSet(KEY_VARIABLE)
    return CommandEntry(tuple(_expand(str(part), client, environ) for part in command), always | passed | own)


def _expand_values(table: object, client: AiClient, environ: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(table, dict):
        return {}
    return {str(name): _expand(str(value), client, environ) for name, value in table.items()}


def _expand(text: str, client: AiClient, environ: Mapping[str, str]) -> str:
    """Replace the variables by their values, if the client does so."""
    if not client.variable_syntax:
        return text

    def value(match: "re.Match[str]") -> str:
        name, default, bare_name = match.groups()
        if found := environ.get(name or bare_name):
            return found
        return default if default is not None else _value_of(name or bare_name, environ)

    return _VARIABLE.sub(value, text)


def _value_of(name: str, environ: Mapping[str, str]) -> str:
    if not environ.get(name):
        raise VariableNotSet(name)
    return environ[name]
