"""What there is to know about one AI client before it can be configured."""

from dataclasses import dataclass, field
from typing import Any, Literal

KEY = "CYBERUN_API_KEY"

Notation = Literal["json", "jsonc", "toml"]
Places = str | dict[str, str]


@dataclass(frozen=True)
class Client:
    """One AI client and how its configuration spells a server.

    The key should never stand in a file. `variable` is how the file refers to the environment variable, if it can;
    `passes` is the field that lists variables to pass on by name, `bearer` the one that names the variable with the
    bearer token; `inherits` says that a server it starts has the client's whole environment anyway. Where a way of
    connecting has none of these, the key has to be written in clear.
    """

    name: str
    title: str
    file: Places | None
    """Its file for one user, by `sys.platform` where they differ; None: the text is pasted into a dialog."""
    paste: str = ""
    """Where to paste it instead, for a person to read."""
    also: tuple[str, ...] = ()
    """Other names the file may have; an existing one is used."""
    project: str = ""
    """The file for one project, if it reads such."""
    program: str = ""
    """Its command, where it has one; tells whether it is installed."""

    notation: Notation = "json"
    section: str = "mcpServers"
    suffix: str = "mcp.json"
    """What its files under configs/ are called after the name."""

    stdio: dict[str, Any] = field(default_factory=dict)
    """Fields every server it starts has, such as its type."""
    http: dict[str, Any] | None = field(default_factory=dict)
    """Fields every endpoint it calls has; None: it cannot speak Streamable HTTP."""
    url: str = "url"
    environment: str = "env"
    one_list: bool = False
    """Whether command and arguments are one list."""

    variable: str = ""
    passes: str = ""
    bearer: str = ""
    inherits: bool = False

    timeout: str = ""
    """The field for the longest tool call, if it has one."""
    timeout_unit: Literal["s", "ms"] = "ms"
    limit: str = ""
    """How long it waits for a tool by itself, for a person to read."""
