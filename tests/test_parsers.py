"""That a test which chooses a parser gets it."""

import os
import subprocess
import sys

import pytest

from tests.parsers import PARSERS, environment_of

_CHOSEN = "from uvicorn.protocols.http.auto import AutoHTTPProtocol; print(AutoHTTPProtocol.__name__)"


@pytest.mark.parametrize("parser", PARSERS)
def test_a_process_started_with_the_environment_of_a_parser_uses_it(parser: str) -> None:
    environment = os.environ | environment_of(parser)
    chosen = subprocess.check_output([sys.executable, "-c", _CHOSEN], env=environment, text=True, timeout=60)
    assert chosen.strip().lower() == f"{parser}protocol"
