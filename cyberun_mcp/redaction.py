"""What must never leave this process in a log, an error, a metric or a progress message.

Three kinds: credentials, the query of a presigned URL (its signature is a credential), and the values of a service's
environment. Answers to the caller keep presigned URLs whole, because handing them over is their purpose.
"""

import logging
import re
from typing import Any

_CREDENTIAL = re.compile(r"\b(sk|dk|ak)-[\w.~+/=-]{4,}|\beyJ[\w.~+/=-]{8,}")
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)(?!\$)[^\s\"',]+")  # a $NAME is where a key comes from, not a key
_SIGNED_QUERY = re.compile(r"(?i)\?[^\s\"'<>]*\b(x-amz-|signature=|sig=|token=)[^\s\"'<>]*")


def redact(text: str) -> str:
    """`text` with keys, bearer values and signed query strings replaced by an ellipsis; the rest is untouched."""
    text = _SIGNED_QUERY.sub("?…", text)
    text = _BEARER.sub(r"\1\2…", text)
    return _CREDENTIAL.sub(lambda found: f"{found[1]}-…" if found[1] else "eyJ…", text)


def hide_env_values(service: dict[str, Any]) -> dict[str, Any]:
    """A container service with the names of its `env_config` kept and every value gone."""
    env = service.get("env_config")
    if env is None:
        return service
    entries = env if isinstance(env, list) else []
    names = [{"env_name": entry["env_name"]} for entry in entries if isinstance(entry, dict) and "env_name" in entry]
    return {**service, "env_config": names}


class RedactingFormatter(logging.Formatter):
    """Formats a record as usual, traceback included, and redacts the finished text."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
