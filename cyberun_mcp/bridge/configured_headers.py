"""Who the bridge is to the remote: headers from the environment or a file. A secret never comes from the arguments.

The arguments of a process are visible to every user of the machine, its environment is not.
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

KEY = "CYBERUN_API_KEY"

# Compiled where they are used: at import each would cost the start 0.2 ms.
_VARIABLE = r"\$\{(\w+)\}"
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = r"[\x20-\x7e\xa0-\xff]*"
# What the bridge itself has to say in a request; another value would break the protocol.
_OURS = r"(?i)host|content-.*|transfer-encoding|connection|accept|accept-encoding|expect|te|upgrade|mcp-.*"
_SECRET = r"(?i)authorization|proxy-authorization|cookie|.*(key|token|secret|password).*"  # noqa: S105 - names of headers, not a secret

logger = logging.getLogger(__name__)


class Credentials(NamedTuple):
    """The headers every request carries, and where the one that says who we are came from (None: nowhere)."""

    headers: tuple[tuple[str, str], ...]
    source: str | None

    @classmethod
    def gather(cls, arguments: Sequence[str], file: Path | None, environ: Mapping[str, str]) -> "Credentials":
        """From `--header` over `--header-file` to CYBERUN_API_KEY; the first to name a header has it."""
        given = [(*_from_argument(each, environ), "--header") for each in arguments]
        given += [(*each, "--header-file") for each in (_from_file(file) if file else ())]
        if key := environ.get(KEY, "").strip():
            refuse_unexpanded(KEY, key)
            given.append(("Authorization", _checked("Authorization", f"Bearer {key}", KEY), KEY))
        chosen: dict[str, tuple[str, str, str]] = {}
        for name, value, source in given:
            chosen.setdefault(name.lower(), (name, value, source))
        who = chosen.get("authorization") or next(
            (each for each in chosen.values() if re.fullmatch(_SECRET, each[0])), None
        )
        return cls(tuple((name, value) for name, value, _ in chosen.values()), who[2] if who else None)

    @property
    def secrets(self) -> list[str]:
        """What must be cut out of any text: header values, and the parts of those that name a scheme first."""
        values = [value for _, value in self.headers]
        values += [value.partition(" ")[2] for value in values]
        return sorted((each for each in values if len(each) >= 6), key=len, reverse=True)


def refuse_unexpanded(where: str, value: str) -> None:
    """Raise ConfigurationError if a client has passed a placeholder on instead of its value."""
    if "${" in value:
        raise ConfigurationError(
            f"{where} holds an unexpanded placeholder ({redact(value)}): this client does not fill it in. "
            "Put the value itself into the client's `env`, or start the client from an environment that has it."
        )


def _from_argument(argument: str, environ: Mapping[str, str]) -> tuple[str, str]:
    name, value = _split(argument, "--header")
    expanded = re.sub(_VARIABLE, lambda found: _variable(found[1], environ), value)
    if expanded == value and (re.fullmatch(_SECRET, name) or redact(argument) != argument):
        raise ConfigurationError(
            f"--header {name}: a secret in the arguments is visible to every user of this machine. "
            f"Set {KEY}, use --header-file, or name a variable: --header '{name}: ${{VARIABLE}}'."
        )
    return name, _checked(name, expanded, "--header")


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
            yield name, _checked(name, value, "The header file")


def _split(line: str, where: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not re.fullmatch(_NAME, name.strip()):
        raise ConfigurationError(f"{where}: expected `Name: value`")  # not quoted: the line may be a secret
    return name.strip(), value.strip()


def _checked(name: str, value: str, where: str) -> str:
    if "${" in value:
        raise ConfigurationError(f"{where}: the value of {name} holds an unexpanded ${{…}}; put the value itself there")
    if not value or not re.fullmatch(_VALUE, value):
        raise ConfigurationError(f"{where}: the value of {name} is empty or holds characters no header can carry")
    if re.fullmatch(_OURS, name):
        raise ConfigurationError(f"{where}: {name} is for the bridge to say")
    return value
