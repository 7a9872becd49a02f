"""Logs: to stderr only, one line each, redacted whatever wrote them."""

import logging
import sys

from cyberun_mcp.redaction import RedactingFormatter


def log_to_stderr(level: str) -> None:
    """Send our records of `level` and above, and other libraries' warnings, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("cyberun_mcp").setLevel(level.upper())
