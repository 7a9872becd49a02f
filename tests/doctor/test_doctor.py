"""`cyberun-mcp doctor`: it finds what is wrong, and says what to do."""

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from cyberun_mcp.clients.configure import write
from cyberun_mcp.clients.paths import Machine
from cyberun_mcp.clients.render import Connection, text_of
from cyberun_mcp.clients.table import BY_NAME
from cyberun_mcp.doctor import network
from cyberun_mcp.doctor.configured import check_clients
from cyberun_mcp.doctor.entries import Unset, as_started
from cyberun_mcp.doctor.findings import Finding, error, ok
from cyberun_mcp.doctor.key import check_key, check_key_file
from cyberun_mcp.doctor.network import check_network
from cyberun_mcp.doctor.platform import check_platform
from cyberun_mcp.doctor.report import as_json, as_text
from cyberun_mcp.emulator import emulator
from cyberun_mcp.settings import Settings

KEY = "sk-canary0123456789abcdef"
SERVER = (sys.executable, "-m", "cyberun_mcp")


def found(findings: list[Finding], check: str) -> Finding:
    [finding] = [each for each in findings if each.check == check]
    return finding


@pytest.mark.parametrize(
    ("key", "status", "said"),
    [
        (KEY, "ok", "integration key (sk-…), 25 characters"),
        ("dk-" + "x" * 30, "warning", "device key"),
        ("sk-short", "error", "too short"),
        ("ak-" + "x" * 30, "error", "agent key"),
        ("eyJ" + "x" * 30, "error", "JWT"),
        ("whatever", "error", "no known kind"),
        ("sk-with blank", "error", "blanks"),
        ("${CYBERUN_API_KEY}", "error", "unexpanded"),
        (None, "error", "No Cyberun key"),
    ],
)
def test_the_key_is_told_by_family_and_shape_and_never_shown(key: str | None, status: str, said: str) -> None:
    finding, _ = check_key(Settings(api_key=key))
    assert finding.status == status
    assert said in finding.text
    assert bool(finding.remedy) == (status != "ok")
    assert key is None or key not in as_text([finding])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_a_key_file_others_can_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY, encoding="utf-8")
    file.chmod(0o644)
    assert check_key_file(file)[0].remedy == f"chmod 600 {file}"
    file.chmod(0o600)
    assert check_key_file(file)[0].status == "ok"
    assert check_key_file(None) == []


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


async def test_a_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.test:3128")
    findings = await check_network(Settings(base_url="https://cyberun.test/api/v1"))
    assert "proxy.test:3128" in found(findings, "proxy").text
    assert "secret" not in as_text(findings)


async def test_an_unknown_host_is_told(monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> None:
    async def nobody(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(anyio, "getaddrinfo", nobody)
    findings = await check_network(Settings(base_url="https://cyberun.test/api/v1"))
    assert found(findings, "DNS").status == "error"
    assert "HTTPS_PROXY" in found(findings, "DNS").remedy
    assert all(each.check != "TLS" for each in findings)


@pytest.fixture
def plain_port() -> Iterator[int]:
    """A port where something listens that does not speak TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("failure", "advice"),
    [(ssl.SSLCertVerificationError("self-signed"), "SSL_CERT_FILE"), (ConnectionRefusedError("refused"), "firewall")],
)
async def test_a_failing_handshake_is_told(
    monkeypatch: pytest.MonkeyPatch, no_proxy: None, failure: Exception, advice: str
) -> None:
    async def here(*_: Any, **__: Any) -> list[Any]:
        return [(None, None, None, "", ("127.0.0.1", 443))]

    async def refuse(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(anyio, "getaddrinfo", here)
    monkeypatch.setattr(anyio, "connect_tcp", refuse)
    findings = await check_network(Settings(base_url="https://cyberun.test/api/v1"))
    assert advice in found(findings, "TLS").remedy


async def test_a_base_url_that_looks_wrong_is_told(no_proxy: None) -> None:
    findings = await check_network(Settings(base_url="http://127.0.0.1:1"))
    assert found(findings, "base URL").status == "warning"
    assert "no TLS" in found(findings, "network").text


def test_a_certificate_that_soon_ends_is_told() -> None:
    class Handshake:
        def __init__(self, days: int) -> None:
            self.ends = datetime.now(UTC) + timedelta(days=days, hours=1)

        def version(self) -> str:
            return "TLSv1.3"

        def getpeercert(self) -> dict[str, str]:
            return {"notAfter": self.ends.strftime("%b %d %H:%M:%S %Y GMT")}

    certificate: Any = network._certificate
    assert certificate(Handshake(90)).status == "ok"
    assert certificate(Handshake(3)).status == "warning"


def answering(status: int, json_body: Any, seconds_behind: float = 0.0) -> httpx2.MockTransport:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds_behind))
    return httpx2.MockTransport(lambda _: httpx2.Response(status, json=json_body, headers={"Date": date}))


PAGE = {"workflow_list": [], "page_meta": {"total_count": 3}}


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, "ok"), (40, "ok"), (-300, "warning"), (300, "warning"), (2_000, "error")]
)
async def test_a_clock_that_is_off_is_told(seconds: float, status: str) -> None:
    _, credential = check_key(Settings(api_key=KEY))
    assert credential
    findings = await check_platform(Settings(api_key=KEY), credential, answering(200, PAGE, seconds))
    assert found(findings, "platform").status == "ok"
    assert found(findings, "clock").status == status


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (401, {"error_message": "invalid token"}, "create one at"),
        (403, {"error_message": "forbidden"}, "another role"),
        (404, {"error_message": "no"}, "CYBERUN_BASE_URL"),
        (503, {"error_message": "down"}, "later"),
        (200, {"hello": "world"}, "CYBERUN_BASE_URL"),
        (200, {"error_message": "insufficient credits"}, "Resolve"),
    ],
)
async def test_what_the_platform_refuses_is_told_in_its_own_words(status: int, body: Any, advice: str) -> None:
    _, credential = check_key(Settings(api_key=KEY))
    assert credential
    findings = await check_platform(Settings(api_key=KEY), credential, answering(status, body))
    finding = found(findings, "platform")
    assert finding.status == "error"
    assert advice in finding.remedy
    assert body.get("error_message", "") in finding.text


async def test_the_emulator_passes_every_check() -> None:
    async with emulator() as platform:
        settings = Settings(api_key=platform.api_key, base_url=platform.base_url)
        _, credential = check_key(settings)
        assert credential
        findings = [*await check_network(settings), *await check_platform(settings, credential)]
        dead, _ = await check_platform(settings, credential.__class__("sk-wrong-0123456789abcdef"))
    assert all(each.status == "ok" for each in findings)
    assert "401" in dead.text


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    environ = {"PATH": os.environ.get("PATH", ""), "CYBERUN_API_KEY": KEY, "HOME": str(tmp_path)}
    return Machine(home=tmp_path, platform="linux", environ=environ, folder=tmp_path / "project")


async def test_connected_clients_are_started(machine: Machine) -> None:
    write(BY_NAME["cursor"], Connection(command=SERVER), machine)
    write(BY_NAME["codex"], Connection(command=SERVER), machine)
    write(BY_NAME["opencode"], Connection(emulator=True, command=SERVER), machine)
    findings = await check_clients(machine)
    assert [(each.check, each.status) for each in findings] == [("Cursor", "ok"), ("Codex", "ok"), ("opencode", "ok")]
    assert "starts: cyberun-cloud" in findings[0].text


async def test_a_projects_own_file_is_checked_too(machine: Machine) -> None:
    machine.folder.mkdir()
    config = text_of(BY_NAME["claude-code"], Connection(command=SERVER))
    (machine.folder / ".mcp.json").write_text(config, encoding="utf-8")
    [finding] = await check_clients(machine)
    assert (finding.check, finding.status) == ("Claude Code (.mcp.json)", "ok")


async def test_what_would_not_start_is_told(machine: Machine, plain_port: int) -> None:
    write(BY_NAME["cursor"], Connection(command=("/nowhere/cyberun-mcp",)), machine)
    write(
        BY_NAME["gemini"], Connection(command=(sys.executable, "-c", "import sys; sys.exit('no luck today')")), machine
    )
    write(
        BY_NAME["qwen"],
        Connection(command=(sys.executable, "-c", "print('hello', flush=True); input(); input()")),
        machine,
    )
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    write(BY_NAME["windsurf"], Connection("http", f"http://127.0.0.1:{port}/mcp"), machine)
    file = machine.file_of(BY_NAME["zed"])
    assert file
    file.parent.mkdir(parents=True)
    file.write_text("{", encoding="utf-8")
    findings = await check_clients(machine)
    assert all(each.status == "error" for each in findings)
    assert "not found: /nowhere/cyberun-mcp" in found(findings, "Cursor").text
    assert "no luck today" in found(findings, "Gemini CLI").text
    assert "not an MCP server" in found(findings, "Qwen Code").text
    assert "cyberun-mcp http" in found(findings, "Windsurf").remedy
    assert "cannot be parsed" in found(findings, "Zed").text


async def test_a_variable_that_is_not_set_is_told(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "linux", {"PATH": ""}, folder=tmp_path)
    write(BY_NAME["cursor"], Connection(command=SERVER), machine)
    write(BY_NAME["zed"], Connection(command=SERVER), machine)
    findings = await check_clients(machine)
    assert all("CYBERUN_API_KEY, which is not set here" in each.text for each in findings)


async def test_no_client_at_all_is_told(machine: Machine) -> None:
    [finding] = await check_clients(machine)
    assert "config CLIENT --write" in finding.remedy


@pytest.mark.parametrize(
    ("written", "meant"),
    [("Bearer ${A}", "Bearer 1"), ("${A:-2}", "1"), ("${B:-2}", "2"), ("${env:A}", "1"), ("{env:A}", "1"), ("$A", "1")],
)
def test_variables_are_read_as_the_clients_write_them(written: str, meant: str) -> None:
    started = as_started(BY_NAME["cursor"], {"url": "http://127.0.0.1/mcp", "headers": {"X": written}}, {"A": "1"})
    assert started.headers == {"X": meant}


def test_a_bearer_token_named_by_its_variable_needs_it() -> None:
    entry = {"url": "http://127.0.0.1/mcp", "bearer_token_env_var": "A"}
    assert as_started(BY_NAME["codex"], entry, {"A": "1"}).headers == {"Authorization": "Bearer 1"}
    with pytest.raises(Unset, match="needs A"):
        as_started(BY_NAME["codex"], entry, {})


def test_the_report_has_a_remedy_below_what_needs_one() -> None:
    findings = [ok("one", "fine"), error("two", f"Bearer {KEY}", "mend it")]
    assert as_text(findings) == "ok    one: fine\nERROR two: Bearer …\n      → mend it"
    said = json.loads(as_json(findings))
    assert said["ok"] is False
    assert said["findings"][0] == {"check": "one", "status": "ok", "text": "fine", "remedy": ""}


def test_the_command_says_it_in_json_and_with_its_exit_status(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("CYBERUN_", "XDG_"))}
    result = subprocess.run(
        [sys.executable, "-m", "cyberun_mcp", "doctor", "--json", "--base-url", "http://127.0.0.1:1/api/v1"],
        capture_output=True,
        text=True,
        env=environ | {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "APPDATA": str(tmp_path)},
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    said = json.loads(result.stdout)
    assert said["findings"][0]["check"] == "key"
    assert all(each["remedy"] for each in said["findings"] if each["status"] != "ok")
