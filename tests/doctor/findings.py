"""What the tests of the doctor share."""

from cyberun_mcp.doctor.findings import Finding


def found(findings: list[Finding], check: str) -> Finding:
    """The only finding of a check."""
    [finding] = [each for each in findings if each.check == check]
    return finding
