"""All checks in order, and how their findings look on a screen and in JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cyberun_mcp.clients.paths import Machine
from cyberun_mcp.doctor.configured import check_clients
from cyberun_mcp.doctor.findings import Finding, warning
from cyberun_mcp.doctor.key import check_key, check_key_file
from cyberun_mcp.doctor.network import check_network
from cyberun_mcp.doctor.platform import check_platform
from cyberun_mcp.settings import Settings

_MARKS = {"ok": "ok   ", "warning": "WARN ", "error": "ERROR"}


async def examine(settings: Settings, key_file: Path | None, machine: Machine) -> list[Finding]:
    """Every finding, in the order in which one would mend them."""
    key, credential = check_key(settings)
    findings = [key, *check_key_file(key_file), *await check_network(settings)]
    if credential is None:
        findings.append(warning("platform", "not asked, for want of a key", "Mend the key first."))
    elif all(each.status != "error" for each in findings[1:]):
        findings += await check_platform(settings, credential)
    return findings + await check_clients(machine)


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing has to be mended."""
    return all(each.status != "error" for each in findings)


def as_text(findings: Sequence[Finding]) -> str:
    """One line each, and one more where there is something to do."""
    lines = []
    for each in findings:
        lines.append(f"{_MARKS[each.status]} {each.check}: {each.text}")
        if each.remedy:
            lines.append(f"      → {each.remedy}")
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """The same for programs."""
    return json.dumps({"ok": healthy(findings), "findings": [asdict(each) for each in findings]}, indent=2)
