"""Which starts are certain to succeed and to offer the same tools as a start without arguments.

Only these may be answered before the command itself has looked at its arguments and settings. It reads all others
first, and refuses the invalid ones in its own words.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence

_SECONDS = "([1-9]|[1-5][0-9])([.][0-9]+)?"
_CERTAIN = re.compile(
    "CYBERUN_(API_KEY=((sk|dk)-[a-zA-Z0-9_-]*)?"
    "|BASE_URL=((https://[a-z0-9][a-z0-9.-]*|http://(127[.]0[.]0[.]1|localhost))(:(6[0-4][0-9]{3}|[1-5]?[0-9]{1,4}))?(/[a-zA-Z0-9_-]+)*/?)?"
    "|TEAM_ID=[a-zA-Z0-9_-]*"
    "|LOG_LEVEL=(debug|info|warning|error)?"
    "|LOG_FORMAT=(text|json)?"
    f"|CALL_TIMEOUT=({_SECONDS})?"
    f"|(REQUEST_TIMEOUT|CONNECT_TIMEOUT|POOL_TIMEOUT|EVENTS_IDLE|POLL_INTERVAL)=({_SECONDS}|0[.][1-9][0-9]*)?)"
)
_FLAG = re.compile("--(?!api-key)[a-z-]+")


def is_standard(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether a start with these arguments and settings is certain to succeed, with the tools as they are prepared."""
    settings = (f"{name}={value}" for name, value in environ.items() if name.startswith("CYBERUN_"))
    return all(map(_CERTAIN.fullmatch, settings)) and _are_certain(arguments)


def _are_certain(arguments: Sequence[str]) -> bool:
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--emulator":
            if not has_emulator():
                return False
            continue
        flag, equals, value = argument.partition("=")
        if not equals:
            value = next(remaining, "")
        setting = f"CYBERUN_{flag[2:].upper().replace('-', '_')}={value}"
        if not _FLAG.fullmatch(flag) or value[:1] in ("", "-") or not _CERTAIN.fullmatch(setting):
            return False
    return True


def has_emulator() -> bool:
    """Whether the packages of the extra `emulator` are there, as far as that can be told without importing them."""
    return all(
        any(os.path.isfile(f"{folder or '.'}/{package}/__init__.py") for folder in sys.path)  # noqa: PTH113
        for package in ("PIL", "rich")
    )
