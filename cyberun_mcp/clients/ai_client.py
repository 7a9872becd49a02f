"""The description of one AI client: where its configuration is, and how it spells a server."""

from dataclasses import dataclass, field
from typing import Any, Literal

KEY_VARIABLE = "CYBERUN_API_KEY"

ConfigFormat = Literal["json", "jsonc", "toml"]
ConfigPath = str | dict[str, str]
"""A path with `~`, `{config}` or `{xdg}` (see `Machine`), or one per `sys.platform` with "" for all others."""


@dataclass(frozen=True)
class AiClient:
    """One AI client and the format of its configuration.

    A key should never be in a file. There are four ways around it: the file refers to the environment variable
    (`variable_syntax`), it lists the variables that a server gets (`env_names_field`), it names the variable with the
    bearer token (`bearer_variable_field`), or a server gets the client's whole environment (`inherits_environment`).
    If none of them exists for a kind of connection, the key is written into the file.
    """

    name: str
    title: str
    config_file: ConfigPath | None
    """The user's configuration file. None: the configuration is pasted into a dialog."""
    paste_into: str = ""
    """That dialog, as a text for the user."""
    other_config_files: tuple[str, ...] = ()
    """Alternative paths. One that exists is used instead."""
    project_file: str = ""
    """The configuration file of a project, relative to its folder, if the client reads one."""
    executable: str = ""
    """The name of its command, if it has one. Used to find out whether the client is installed."""

    format: ConfigFormat = "json"
    section: str = "mcpServers"
    """The key whose value holds all MCP servers."""
    example_suffix: str = "mcp.json"
    """The end of the file names under `configs/`, after the name of the client."""

    stdio_fields: dict[str, Any] = field(default_factory=dict)
    """Additional fields of a server that the client starts, such as its type."""
    http_fields: dict[str, Any] | None = field(default_factory=dict)
    """Additional fields of an HTTP endpoint. None: the client does not support Streamable HTTP."""
    url_field: str = "url"
    env_field: str = "env"
    command_is_list: bool = False
    """Whether the command and its arguments are one list."""

    variable_syntax: str = ""
    env_names_field: str = ""
    bearer_variable_field: str = ""
    inherits_environment: bool = False

    timeout_field: str = ""
    """The field for the time limit of a tool call, if there is one."""
    timeout_unit: Literal["s", "ms"] = "ms"
    default_timeout: str = ""
    """Its own time limit for a tool call, as a text for the user."""
