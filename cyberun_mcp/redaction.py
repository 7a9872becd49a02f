"""Removing secrets from logs, errors, metrics and progress messages.

There are three kinds: credentials, the query of a presigned URL (its signature is a credential), and the values of a
service's environment. Results for the caller keep presigned URLs whole, because the caller needs them.
"""

import logging
import re
from typing import Any

# Each pattern looks at a character once. Otherwise a hostile text could block the process.
_CREDENTIAL = re.compile(r"\b(sk|dk|ak)-[\w.~+/=-]{4,}|\beyJ[\w.~+/=-]{8,}")
# After "Authorization:", any value. Elsewhere only values that look like a token, because "bearer" and "basic" are also
# ordinary words. A $NAME is the name of a variable, not a key.
_BEARER = re.compile(
    r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic)\s+|\b(?:bearer|basic)\s+(?=[^\s\"',]*\d))(?!\$)[^\s\"',]+"
)
_QUERY = re.compile(r"\?[^\s\"'<>]+")
_SIGNATURE = re.compile(r"(?i)[?&;](?:x-amz-|(?:signature|sig|token)=)")


def redact(text: str) -> str:
    """`text` with keys, bearer tokens and signed query strings replaced by an ellipsis."""
    text = _QUERY.sub(lambda query: "?…" if _SIGNATURE.search(query[0]) else query[0], text)
    text = _BEARER.sub(r"\1…", text)
    return _CREDENTIAL.sub(lambda match: f"{match[1]}-…" if match[1] else "eyJ…", text)


def hide_env_values(service: dict[str, Any]) -> dict[str, Any]:
    """A container service whose `env_config` has names but no values."""
    env = service.get("env_config")
    if env is None:
        return service
    if isinstance(env, dict):
        names = list(env)
    else:
        entries = env if isinstance(env, list) else []
        names = [entry["env_name"] for entry in entries if isinstance(entry, dict) and "env_name" in entry]
    return {**service, "env_config": [{"env_name": name} for name in names]}


# Characters that could start a new line, move a terminal's cursor or reverse the text: control characters (C0 and C1),
# line and paragraph separators, and marks of writing direction.
_UNSAFE = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x61C, 0x200E, 0x200F),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
)
ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _UNSAFE}
_ESCAPES_IN_TRACEBACK = {code: escape for code, escape in ESCAPES.items() if chr(code) not in "\t\n"}


class RedactingFormatter(logging.Formatter):
    """Formats a record as usual, with its traceback, and redacts the result.

    A message is always one line: an id with a line break in it must not be able to forge a log line. A traceback has
    several lines, which may contain such texts, so they are indented.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return super().formatMessage(record).translate(ESCAPES)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        lines = super().formatException(ei).translate(_ESCAPES_IN_TRACEBACK).split("\n")
        return "\n".join(f"  {line}" for line in lines)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
