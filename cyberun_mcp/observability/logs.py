"""Logging to stderr, as text or JSON, one line for each record. Every line is redacted, whichever library wrote it."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from cyberun_mcp.observability.stderr import log_losses
from cyberun_mcp.redaction import ESCAPES, RedactingFormatter, redact

request_id: ContextVar[str] = ContextVar("request_id", default="")  # of the current HTTP request; "" on stdio

_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_ESCAPES_IN_JSON = {code: f"\\u{code:04x}" for code in ESCAPES}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def log_to_stderr(level: str, form: str = "text") -> None:
    """Log our records of `level` and above, and other libraries' warnings, to stderr. `form` is "text" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else RedactingFormatter(_TEXT))
    log_losses(handler)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("cyberun_mcp").setLevel(level.upper())


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request_id, and the `extra` fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            entry["request_id"] = request_id.get()
        entry |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        # Redact each value, not the finished line: there the quote after a credential is escaped, and would be redacted
        # with it.
        clean = {name: redact(value) if isinstance(value, str) else value for name, value in entry.items()}
        line = json.dumps(clean, ensure_ascii=False, default=lambda value: redact(str(value)))
        return line.translate(_ESCAPES_IN_JSON)
