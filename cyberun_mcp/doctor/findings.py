"""What a check finds."""

from dataclasses import dataclass
from typing import Literal

from cyberun_mcp.redaction import redact

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One line of the report; whatever is not ok has a remedy."""

    check: str
    status: Status
    text: str
    remedy: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", redact(self.text))


def ok(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """Works for now, or might not matter."""
    return Finding(check, "warning", text, remedy)


def error(check: str, text: str, remedy: str) -> Finding:
    """Nothing will work until this is done."""
    return Finding(check, "error", text, remedy)
