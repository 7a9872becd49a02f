"""`cyberun-mcp doctor`, as a command; the checks are loaded when it runs."""

import sys
from pathlib import Path
from typing import Any

import click

from cyberun_mcp.settings import options, settings_from


@click.command()
@click.option("--json", "in_json", is_flag=True, help="Print the findings as JSON.")
@options
def doctor(in_json: bool, **given: Any) -> None:
    """Check the key, the way to the platform, the clock and the AI clients connected here.

    Every line that is not ok says what to do. Exit status: 0 when nothing has to be mended, else 1.
    """
    import anyio

    from cyberun_mcp.clients.paths import Machine
    from cyberun_mcp.doctor.report import as_json, as_text, examine, healthy

    key_file: Path | None = given["api_key_file"]
    findings = anyio.run(examine, settings_from(given), key_file, Machine())
    click.echo(as_json(findings) if in_json else as_text(findings))
    sys.exit(0 if healthy(findings) else 1)
