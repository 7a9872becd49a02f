"""What must never leave this process in a log, an error, a metric or a progress message.

Three kinds: credentials, the query of a presigned URL (its signature is a credential), and the values of a service's
environment. Answers to the caller keep presigned URLs whole, because handing them over is their purpose.
"""

import logging
import re
from typing import Any

# Each pattern looks at a character once, or a hostile text would hold up the process.
_CREDENTIAL = re.compile(r"\b(sk|dk|ak)-[\w.~+/=-]{4,}|\beyJ[\w.~+/=-]{8,}")
# After the header's name anything; elsewhere what looks like a token, since "bearer" and "basic" are words too. A $NAME
# is where a key comes from, not a key.
_BEARER = re.compile(
    r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic)\s+|\b(?:bearer|basic)\s+(?=[^\s\"',]*\d))(?!\$)[^\s\"',]+"
)
_QUERY = re.compile(r"\?[^\s\"'<>]+")
_SIGNATURE = re.compile(r"(?i)[?&;](?:x-amz-|(?:signature|sig|token)=)")


def redact(text: str) -> str:
    """`text` with keys, bearer values and signed query strings replaced by an ellipsis; the rest is untouched."""
    text = _QUERY.sub(lambda query: "?…" if _SIGNATURE.search(query[0]) else query[0], text)
    text = _BEARER.sub(r"\1…", text)
    return _CREDENTIAL.sub(lambda found: f"{found[1]}-…" if found[1] else "eyJ…", text)


def hide_env_values(service: dict[str, Any]) -> dict[str, Any]:
    """A container service with the names of its `env_config` kept and every value gone."""
    env = service.get("env_config")
    if env is None:
        return service
    if isinstance(env, dict):
        names = list(env)
    else:
        entries = env if isinstance(env, list) else []
        names = [entry["env_name"] for entry in entries if isinstance(entry, dict) and "env_name" in entry]
    return {**service, "env_config": [{"env_name": name} for name in names]}


# What could begin a line, move the cursor of a terminal or turn a text around: control characters (C0 and C1), line and
# paragraph separators, and marks of writing direction.
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
    """Formats a record as usual, traceback included, and redacts the finished text.

    A message stays on its line, whatever is in it: an id with a line break must not be able to write a line of its own.
    A traceback has lines, which quote such texts too, so they are indented.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return super().formatMessage(record).translate(ESCAPES)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        lines = super().formatException(ei).translate(_ESCAPES_IN_TRACEBACK).split("\n")
        return "\n".join(f"  {line}" for line in lines)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
