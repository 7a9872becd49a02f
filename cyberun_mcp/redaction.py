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


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)}


class RedactingFormatter(logging.Formatter):
    """Formats a record as usual, traceback included, and redacts the finished text.

    A message stays on its line, whatever is in it: an id with a line break must not be able to write a line of its own.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return super().formatMessage(record).translate(_CONTROLS)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
