"""The stdio transport as a client meets it: a real process, both eras on one pipe, and three ways to end."""

import signal
import sys
from collections.abc import Iterator

import pytest

from cyberun_mcp.tools import TOOLS
from tests.stdio.process import KEY, META, OLD_ERAS, Pipe, server
from tests.waiting import GUARD


@pytest.fixture(scope="module")
def pipe() -> Iterator[Pipe]:
    """One server for the tests that leave it as they found it."""
    with server() as shared:
        yield shared


@pytest.mark.parametrize("version", OLD_ERAS)
def test_every_handshake_revision_is_spoken(pipe: Pipe, version: str) -> None:
    answer = pipe.initialize(version)
    assert answer["result"]["protocolVersion"] == version
    assert answer["result"]["capabilities"] == {"tools": {"listChanged": False}}
    pipe.send({"id": 2, "method": "tools/list"})
    assert len(pipe.answer_to(2)["result"]["tools"]) == len(TOOLS)


def test_a_client_that_probes_the_new_era_and_falls_back_is_served_in_both(pipe: Pipe) -> None:
    pipe.send({"id": 10, "method": "server/discover", "params": {"_meta": META}})
    discovered = pipe.answer_to(10)["result"]
    assert "2026-07-28" in discovered["supportedVersions"]
    assert pipe.initialize(number=11)["result"]["serverInfo"]["name"] == "cyberun-cloud"
    pipe.send({"id": 12, "method": "tools/list"})
    pipe.send({"id": 13, "method": "tools/list", "params": {"_meta": META}})
    old, new = pipe.answer_to(12)["result"], pipe.answer_to(13)["result"]
    assert old["tools"] == new["tools"]
    assert new["resultType"] == "complete"
    assert new["ttlMs"] > 0


def test_an_unsupported_modern_version_is_refused_with_the_supported_ones(pipe: Pipe) -> None:
    meta = {**META, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    pipe.send({"id": 20, "method": "tools/list", "params": {"_meta": meta}})
    error = pipe.answer_to(20)["error"]
    assert error["code"] == -32022
    assert "2026-07-28" in error["data"]["supported"]


def test_an_unknown_method_and_an_unknown_tool_are_protocol_errors(pipe: Pipe) -> None:
    pipe.initialize(number=29)
    pipe.send({"id": 30, "method": "no/such"}, {"id": 31, "method": "tools/call", "params": {"name": "nope"}})
    codes = {message["id"]: message["error"]["code"] for message in (pipe.receive(), pipe.receive())}
    assert codes == {30: -32601, 31: -32602}


def test_everything_pipelined_in_one_write_is_answered() -> None:
    with server() as fresh:
        params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        fresh.send(
            {"id": 1, "method": "initialize", "params": params},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/list"},
            {"id": 3, "method": "tools/call", "params": {"name": "get_task", "arguments": {}}},
            {"id": 4, "method": "ping"},
        )
        assert {fresh.receive()["id"] for _ in range(4)} == {1, 2, 3, 4}


def test_without_a_key_the_server_starts_and_its_tools_say_what_to_set() -> None:
    with server(key=None) as fresh:
        fresh.initialize()
        fresh.send({"id": 2, "method": "tools/call", "params": {"name": "list_workflows", "arguments": {}}})
        result = fresh.answer_to(2)["result"]
        assert result["isError"] is True
        assert "Set CYBERUN_API_KEY" in result["content"][0]["text"]


@pytest.mark.parametrize(("key", "words"), [("eyJhbGciOi.x.y", "CYBERUN_TEAM_ID"), ("ak-12345678", "agent key")])
def test_a_key_that_cannot_work_is_refused_at_start_with_words(key: str, words: str) -> None:
    with server(key=key) as fresh:
        output, errors = fresh.process.communicate(timeout=GUARD)
    assert fresh.process.returncode == 1
    assert words in errors
    assert output == ""
    assert key not in errors


@pytest.mark.parametrize("how", ["end of input", "SIGINT", "SIGTERM"])
def test_the_server_ends_cleanly(how: str) -> None:
    if how != "end of input" and sys.platform == "win32":
        pytest.skip("signals of this kind are POSIX")
    with server() as fresh:
        fresh.initialize()
        if how == "end of input":
            fresh.stdin.close()
        else:
            fresh.process.send_signal(getattr(signal, how))
        status = fresh.process.wait(timeout=GUARD)
        assert status == (130 if how == "SIGINT" else 0)
        assert fresh.process.stderr is not None
        assert "Traceback" not in fresh.process.stderr.read()


def test_stdout_carries_the_protocol_only_and_stderr_one_line_a_call_without_the_key() -> None:
    with server(CYBERUN_LOG_LEVEL="debug", CYBERUN_BASE_URL="http://127.0.0.1:9", CYBERUN_CALL_TIMEOUT="1") as fresh:
        fresh.initialize()
        fresh.send({"id": 2, "method": "tools/call", "params": {"name": "list_workflows", "arguments": {}}})
        assert "could not be reached" in fresh.answer_to(2)["result"]["content"][0]["text"]
        fresh.stdin.close()
        assert fresh.stdout.read() == ""
        assert fresh.process.stderr is not None
        log = fresh.process.stderr.read()
    [line] = [each for each in log.splitlines() if "tool=list_workflows" in each]
    assert "outcome=error ms=" in line
    assert "request=2" in line
    assert KEY not in log
