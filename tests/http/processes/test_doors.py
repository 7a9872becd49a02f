"""Who is let in by a whole endpoint: callers' keys, keys checked beforehand, and a server with a key of its own."""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cyberun_mcp.errors import ConfigurationError
from cyberun_mcp.http.client_tokens import ClientTokens
from cyberun_mcp.http.settings import HttpSettings, families, network, reject_unsafe_settings
from cyberun_mcp.settings import Settings
from tests.http.processes.calls import KEY, call, request
from tests.http.processes.conftest import PatientPlatform
from tests.http.processes.process import COMMAND, endpoint
from tests.waiting import GUARD, until

ANYWHERE = "0.0.0.0"  # noqa: S104 - what is tested


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"own_key": True, "host": ANYWHERE}, "would let anyone who can connect run workflows at your team's cost"),
        ({"own_key": True, "allowed_host": ("localhost", "mcp.example.com")}, "--allowed-host mcp.example.com"),
        ({"own_key": True, "allowed_host": ("127.0.0.1.evil.test",)}, "--allowed-host 127.0.0.1.evil.test"),
        ({"own_key": True, "allowed_origin": ("https://app.example.com",)}, "--allowed-origin https://app.example.com"),
        ({"own_key": True, "allowed_origin": ("null",)}, "--allowed-origin null"),
        ({"own_key": True, "trusted_proxy": (network("127.0.0.1"),)}, "--trusted-proxy would let"),
        ({"client_tokens": Path("tokens")}, "--client-tokens goes with --own-key"),
        ({"own_key": True, "check_key": True}, "--check-key is about the callers' keys"),
    ],
)
def test_settings_that_would_let_strangers_in_are_refused_with_the_reason(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        reject_unsafe_settings(HttpSettings(**given), Settings(api_key=KEY))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        {"host": ANYWHERE},
        {"own_key": True},
        {"own_key": True, "host": "::1"},
        {"own_key": True, "allowed_host": ("LocalHost", "[::1]"), "allowed_origin": ("http://127.0.0.1:3000",)},
        {"own_key": True, "client_tokens": Path("tokens"), "allowed_host": ("mcp.example.com",), "host": ANYWHERE},
        {"own_key": True, "client_tokens": Path("tokens"), "trusted_proxy": (network("10.0.0.0/8"),)},
        {"allowed_host": ("mcp.example.com",), "trusted_proxy": (network("10.0.0.0/8"),)},
    ],
)
def test_settings_that_let_no_stranger_in_are_not(given: dict[str, object]) -> None:
    reject_unsafe_settings(HttpSettings(**given), Settings(api_key=KEY))  # type: ignore[arg-type]


def test_an_own_key_needs_to_be_there() -> None:
    with pytest.raises(ConfigurationError, match="CYBERUN_API_KEY"):
        reject_unsafe_settings(HttpSettings(own_key=True), Settings())


def test_the_command_refuses_an_open_door_in_one_line() -> None:
    finished = subprocess.run(
        [COMMAND, "http", "--own-key", "--host", ANYWHERE, "--port", "0"],
        capture_output=True,
        text=True,
        timeout=GUARD,
        check=False,
        env={"CYBERUN_API_KEY": KEY},
    )
    assert finished.returncode == 1
    [line] = finished.stderr.splitlines()
    assert "--client-tokens FILE" in line
    assert "--host 127.0.0.1" in line
    assert KEY not in line


@pytest.mark.parametrize("value", ["sk,ak", "", "all"])
def test_an_unknown_family_is_refused_with_words(value: str) -> None:
    with pytest.raises(click.BadParameter, match="expected some of sk, dk, jwt"):
        families(value)


def test_a_network_that_is_none_is_refused_with_words() -> None:
    with pytest.raises(click.BadParameter, match=r"10\.0\.0\.1/24"):
        network("10.0.0.1/24")


# --- client tokens


def test_tokens_are_read_from_lines_as_sha256sum_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# ours\n{digest('a')}  -\n\n{digest('b').upper()} the build farm # old\n", encoding="utf-8")
    assert ClientTokens(file).hashes() == [bytes.fromhex(digest("a")), bytes.fromhex(digest("b"))]


@pytest.mark.parametrize("text", ["", "# nobody\n", "secret-token\n", "g" * 64 + "\n", digest("a")[:-1] + "\n"])
def test_a_file_that_holds_no_hashes_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        ClientTokens(file)
    assert "secret-token" not in str(refused.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
async def test_known_clients_act_with_the_servers_key_and_sighup_reads_them_again(
    cyberun: PatientPlatform, era: str, tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    file.write_text(digest("alpha") + "\n", encoding="utf-8")
    flags = ("--own-key", "--client-tokens", str(file))
    with endpoint(cyberun.base_url, *flags, CYBERUN_API_KEY=KEY) as ours:

        async def status(token: str) -> int:
            return (await client.post("/mcp", **request(era, "list_agents", key=token))).status_code

        async with ours.client() as client:
            assert [await status("alpha"), await status("beta"), await status(KEY)] == [200, 401, 401]
            file.write_text("broken\n", encoding="utf-8")
            ours.signal(signal.SIGHUP)
            await until(lambda: "stay as they were" in ours.log)
            assert await status("alpha") == 200
            file.write_text(digest("beta") + "\n", encoding="utf-8")
            ours.signal(signal.SIGHUP)
            await until(lambda: "1 client tokens in force" in ours.log)
            assert [await status("alpha"), await status("beta")] == [401, 200]
        assert KEY not in ours.log
    assert len(cyberun.requests) >= 3


# --- keys asked about beforehand


async def test_a_dead_key_is_a_401_at_the_edge_and_an_outage_locks_nobody_out(
    cyberun: PatientPlatform, era: str
) -> None:
    with endpoint(cyberun.base_url, "--check-key") as ours:
        async with ours.client() as client:
            assert not (await call(client, era, "list_agents")).get("isError")
            assert not (await call(client, era, "list_agents")).get("isError")
            asked = [each for each in cyberun.requests if each.path == "/api/v1/r/workflows?per_page=1"]
            assert len(asked) == 1
            cyberun.scripts["workflows", ""] = cyberun.dead
            refused = await client.post("/mcp", **request(era, "list_agents", key="sk-dead-01234567"))
            assert refused.status_code == 401
            cyberun.scripts["workflows", ""] = cyberun.in_trouble
            assert (await client.post("/mcp", **request(era, "list_agents", key="sk-new-012345678"))).status_code == 200
