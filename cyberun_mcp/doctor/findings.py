"""What a check found, and how it is printed: as text or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from cyberun_mcp.redaction import redact

Status = Literal["ok", "warning", "error"]

_LABELS: dict[Status, str] = {"ok": "ok   ", "warning": "WARN ", "error": "ERROR"}


@dataclass(frozen=True)
class Finding:
    """One line of the report. A finding that is not ok has a remedy. Keys are removed from the text."""

    check: str
    status: Status
    text: str
    remedy: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", redact(self.text))


def ok(check: str, text: str) -> Finding:
    """There is nothing to do."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """It works for now, or it may not matter."""
    return Finding(check, "warning", text, remedy)


def error(check: str, text: str, remedy: str) -> Finding:
    """It does not work until the user follows the remedy."""
    return Finding(check, "error", text, remedy)


def has_no_errors(findings: Sequence[Finding]) -> bool:
    """Whether there are only ok findings and warnings."""
    return all(finding.status != "error" for finding in findings)


def as_text(findings: Sequence[Finding]) -> str:
    """One line for each finding, and another one for its remedy."""
    lines = []
    for finding in findings:
        lines.append(f"{_LABELS[finding.status]} {finding.check}: {finding.text}")
        if finding.remedy:
            lines.append(f"      → {finding.remedy}")
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """The findings for programs, as an object with `ok` and `findings`."""
    return json.dumps({"ok": has_no_errors(findings), "findings": [asdict(each) for each in findings]}, indent=2)
