"""The two HTTP parsers a server of ours may run with, and how a test chooses one for a process it starts.

uvicorn takes httptools where it can be imported, else h11. So a process gets h11 by not finding httptools.
"""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

_WITHOUT_HTTPTOOLS = str(Path(__file__).with_name("without_httptools"))

PARSERS = [
    "h11",
    pytest.param("httptools", marks=pytest.mark.skipif(find_spec("httptools") is None, reason="needs the extra fast")),
]


def environment_of(parser: str) -> dict[str, str]:
    """What to add to the environment of a server process so that it parses requests with `parser`."""
    if parser != "h11":
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (_WITHOUT_HTTPTOOLS, os.environ.get("PYTHONPATH"))))}
