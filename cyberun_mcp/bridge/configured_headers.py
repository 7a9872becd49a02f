"""The HTTP headers that the user configured: --header, --header-file and CYBERUN_API_KEY.

A secret must not be in the command-line arguments: every user of the machine can see those of a process, but not its
environment.
"""

import logging
import re
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cyberun_mcp.errors import ConfigurationError
from cyberun_mcp.redaction import redact

KEY_VARIABLE = "CYBERUN_API_KEY"

# `re` compiles these at first use: at import each would cost the start 0.2 ms.
_PLACEHOLDER = r"\$\{(\w+)\}"
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = r"[\x20-\x7e\xa0-\xff]*"
# Headers that the bridge sets itself; another value would break the protocol.
_RESERVED = r"(?i)host|content-.*|transfer-encoding|connection|accept|accept-encoding|expect|te|upgrade|mcp-.*"
_SECRET_NAME = r"(?i)authorization|proxy-authorization|cookie|.*(key|token|secret|password).*"  # noqa: S105 - header names

logger = logging.getLogger(__name__)


class ConfiguredHeaders(NamedTuple):
    """The headers of every request.

    `credential_source` names the origin of the header that identifies the user, such as `--header`; None if there is no
    such header.
    """

    fields: tuple[tuple[str, str], ...]
    credential_source: str | None

    @classmethod
    def load(cls, arguments: Sequence[str], file: Path | None, environ: Mapping[str, str]) -> "ConfiguredHeaders":
        """Collect the headers. --header wins over --header-file, which wins over CYBERUN_API_KEY.

        Raises ConfigurationError.
        """
        candidates = [(*_from_argument(argument, environ), "--header") for argument in arguments]
        candidates += [(*field, "--header-file") for field in (_from_file(file) if file else ())]
        if key := environ.get(KEY_VARIABLE, "").strip():
            reject_placeholder(KEY_VARIABLE, key)
            value = _checked_value("Authorization", f"Bearer {key}", KEY_VARIABLE)
            candidates.append(("Authorization", value, KEY_VARIABLE))
        chosen: dict[str, tuple[str, str, str]] = {}
        for name, value, source in candidates:
            chosen.setdefault(name.lower(), (name, value, source))
        credential = chosen.get("authorization") or next(
            (header for header in chosen.values() if re.fullmatch(_SECRET_NAME, header[0])), None
        )
        fields = tuple((name, value) for name, value, _ in chosen.values())
        return cls(fields, credential[2] if credential else None)

    @property
    def secrets(self) -> list[str]:
        """The strings to remove from any text: header values, and the part of a value after its scheme (`Bearer`)."""
        values = [value for _, value in self.fields]
        values += [value.partition(" ")[2] for value in values]
        return sorted((value for value in values if len(value) >= 6), key=len, reverse=True)


def reject_placeholder(where: str, value: str) -> None:
    """Raise ConfigurationError if the MCP client passed on a placeholder instead of its value."""
    if "${" in value:
        raise ConfigurationError(
            f"{where} holds an unexpanded placeholder ({redact(value)}): this client does not fill it in. "
            "Put the value itself into the client's `env`, or start the client from an environment that has it."
        )


def _from_argument(argument: str, environ: Mapping[str, str]) -> tuple[str, str]:
    name, value = _split(argument, "--header")
    expanded = re.sub(_PLACEHOLDER, lambda match: _variable(match[1], environ), value)
    if expanded == value and (re.fullmatch(_SECRET_NAME, name) or redact(argument) != argument):
        raise ConfigurationError(
            f"--header {name}: a secret in the arguments is visible to every user of this machine. "
            f"Set {KEY_VARIABLE}, use --header-file, or name a variable: --header '{name}: ${{VARIABLE}}'."
        )
    return name, _checked_value(name, expanded, "--header")


def _variable(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "")
    if not value:
        raise ConfigurationError(f"--header names ${{{name}}}, but {name} is not set in this client's environment")
    return value


def _from_file(path: Path) -> Iterable[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
        if sys.platform != "win32" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            logger.warning("Other users can read the header file: chmod 600 '%s'", path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The header file cannot be read: {error}") from error
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, value = _split(line, "The header file")
            yield name, _checked_value(name, value, "The header file")


def _split(line: str, where: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not re.fullmatch(_NAME, name.strip()):
        raise ConfigurationError(f"{where}: expected `Name: value`")  # the line is not quoted: it may be a secret
    return name.strip(), value.strip()


def _checked_value(name: str, value: str, where: str) -> str:
    if "${" in value:
        raise ConfigurationError(f"{where}: the value of {name} holds an unexpanded ${{…}}; put the value itself there")
    if not value or not re.fullmatch(_VALUE, value):
        raise ConfigurationError(f"{where}: the value of {name} is empty or holds characters no header can carry")
    if re.fullmatch(_RESERVED, name):
        raise ConfigurationError(f"{where}: {name} is for the bridge to say")
    return value
