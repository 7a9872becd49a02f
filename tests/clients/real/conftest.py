"""The real clients run only when asked for: `make test-clients` sets REAL_CLIENTS."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.real.stage import Endpoint, Home, running_endpoint
from tests.node.installing import NotInstalled

collect_ignore_glob = [] if "REAL_CLIENTS" in os.environ else ["test_*.py"]

NOT_INSTALLED: dict[str, str] = {}
ANNOUNCED: dict[str, str] = {}

Installed = Callable[[str, Callable[[], list[str]]], list[str]]


@pytest.fixture
def installed() -> Installed:
    """`installed(NAME, command)`: what starts the client; one that cannot be had is listed at the end of the run."""

    def command_of(name: str, command: Callable[[], list[str]]) -> list[str]:
        try:
            return command()
        except NotInstalled as error:
            NOT_INSTALLED[name] = str(error)
            pytest.skip(f"{name} could not be installed: {error}")

    return command_of


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    with running_endpoint() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, endpoint: Endpoint, request: pytest.FixtureRequest) -> Iterator[Home]:
    yield Home(tmp_path, endpoint)
    record = tmp_path / "said.jsonl"
    if record.exists():
        ANNOUNCED[request.node.name] = ", ".join(sorted(announced(record.read_text(encoding="utf-8"))))


def announced(record: str) -> set[str]:
    """The names in what a client said."""
    names = set()
    for line in record.splitlines():
        params = json.loads(line).get("params") or {}
        client = params.get("clientInfo") or (params.get("_meta") or {}).get("io.modelcontextprotocol/clientInfo")
        if client:
            names.add(f"{client['name']} {client['version']}")
    return names


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if "REAL_CLIENTS" not in os.environ:
        return
    if ANNOUNCED:
        terminalreporter.section("how the clients announced themselves")
        for test, names in ANNOUNCED.items():
            terminalreporter.line(f"{test}: {names}")
    terminalreporter.section("clients that could not be installed")
    for name, reason in NOT_INSTALLED.items():
        terminalreporter.line(f"{name}: {reason}")
    if not NOT_INSTALLED:
        terminalreporter.line("none: every one of them ran")
