"""What the conformance suite is expected to fail on, and the tools it calls; it runs with `make conformance`."""

import re

import pytest
from mcp import Client

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.settings import Settings
from cyberun_mcp.tools import TOOLS as OUR_TOOLS
from tests.conformance.__main__ import SUITES, Suite
from tests.conformance.fixtures import TOOLS, build_server_with_fixtures


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: str(suite.revision))
def test_every_expected_failure_has_its_reason(suite: Suite) -> None:
    lines = [line for line in suite.expected.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert lines[0] == "server:"
    for line in lines[1:]:
        assert re.fullmatch(r"  - [a-z0-9:-]+ # [a-z].{12,}", line), line


async def test_the_suites_tools_stand_beside_our_own(era: str) -> None:
    server = build_server_with_fixtures(Settings(), lambda _: credential_from(None))
    async with Client(server, mode=era) as client:
        names = [each.name for each in (await client.list_tools()).tools]
        assert len(names) == len(OUR_TOOLS) + len(TOOLS)
        assert not (await client.call_tool("test_simple_text", {})).is_error
        assert (await client.call_tool("list_workflows", {})).is_error
