"""The command `cyberun-mcp doctor`. It imports the checks only when it runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cyberun_mcp.settings import Settings, options, settings_from

if TYPE_CHECKING:
    from cyberun_mcp.clients.machine import Machine
    from cyberun_mcp.doctor.findings import Finding


@click.command()
@click.option("--json", "in_json", is_flag=True, help="Print the findings as JSON.")
@options
def doctor(in_json: bool, **option_values: Any) -> None:
    """Check the key, the way to the platform, the clock and the AI clients connected here.

    Every line that is not ok says what to do. Exit status: 0 when nothing has to be mended, else 1.
    """
    import anyio

    from cyberun_mcp.clients.machine import Machine
    from cyberun_mcp.doctor.findings import as_json, as_text, has_no_errors

    key_file: Path | None = option_values["api_key_file"]
    findings = anyio.run(run_checks, settings_from(option_values), key_file, Machine())
    click.echo(as_json(findings) if in_json else as_text(findings))
    sys.exit(0 if has_no_errors(findings) else 1)


async def run_checks(settings: Settings, key_file: Path | None, machine: "Machine") -> "list[Finding]":
    """All findings. The platform gets a request only if the key and the network have no errors."""
    from cyberun_mcp.doctor.client_entries import check_clients
    from cyberun_mcp.doctor.findings import has_no_errors, warning
    from cyberun_mcp.doctor.network import check_network
    from cyberun_mcp.doctor.platform import check_key, check_key_file, check_platform

    key, credential = check_key(settings)
    findings = [key, *check_key_file(key_file), *await check_network(settings)]
    if credential is None:
        findings.append(warning("platform", "not asked, for want of a key", "Mend the key first."))
    elif has_no_errors(findings[1:]):
        findings += await check_platform(settings, credential)
    return findings + await check_clients(machine)
