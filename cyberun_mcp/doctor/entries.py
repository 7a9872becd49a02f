"""From an entry in a client's file to what the client would do with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyberun_mcp.clients.description import KEY, Client

# What the clients that start a server with a bare environment still give it.
_ALWAYS = ("HOME", "PATH", "LANG", "TMPDIR", "USERPROFILE", "APPDATA", "SYSTEMROOT", "TEMP")
# ${NAME}, ${NAME:-default}, ${env:NAME}, {env:NAME}, $NAME
_VARIABLE = re.compile(r"\$?\{(?:env:)?([A-Za-z_]\w*)(?::-([^}]*))?\}|\$([A-Za-z_]\w*)")


class Unset(Exception):
    """The entry names a variable that this environment does not have."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"its entry needs {variable}, which is not set here")
        self.variable = variable


@dataclass(frozen=True)
class Started:
    """A command with its environment, or a URL with its headers."""

    command: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    url: str = ""
    headers: Mapping[str, str] | None = None


def is_endpoint(client: Client, entry: Mapping[str, Any]) -> bool:
    """Whether the entry is about an endpoint rather than a command."""
    return client.url in entry


def as_started(client: Client, entry: Mapping[str, Any], environ: Mapping[str, str]) -> Started:
    """What the client makes of `entry` in this environment. Raises Unset."""
    if is_endpoint(client, entry):
        headers = {name: _expanded(str(each), client, environ) for name, each in _table(entry, "headers").items()}
        if client.bearer and client.bearer in entry:
            headers["Authorization"] = f"Bearer {_named(str(entry[client.bearer]), environ)}"
        return Started(url=_expanded(str(entry[client.url]), client, environ), headers=headers)
    parts = entry.get("command", [])
    command = parts if isinstance(parts, list) else [parts, *entry.get("args", [])]
    own = {name: _expanded(str(each), client, environ) for name, each in _table(entry, client.environment).items()}
    passed = {str(name): _named(str(name), environ) for name in entry.get(client.passes, [])} if client.passes else {}
    always = dict(environ) if client.inherits else {name: environ[name] for name in _ALWAYS if name in environ}
    if client.inherits and not own and KEY not in environ and "--emulator" not in command:
        raise Unset(KEY)
    return Started(tuple(_expanded(str(each), client, environ) for each in command), always | passed | own)


def _table(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = entry.get(name, {})
    return table if isinstance(table, dict) else {}


def _expanded(text: str, client: Client, environ: Mapping[str, str]) -> str:
    if not client.variable:
        return text

    def value(found: "re.Match[str]") -> str:
        name, default, bare = found.groups()
        return environ.get(name or bare) or (default if default is not None else _named(name or bare, environ))

    return _VARIABLE.sub(value, text)


def _named(name: str, environ: Mapping[str, str]) -> str:
    if not environ.get(name):
        raise Unset(name)
    return environ[name]
