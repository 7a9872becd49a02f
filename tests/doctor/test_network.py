"""The checks of base URL, proxy, DNS and TLS."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from cyberun_mcp.doctor import network
from cyberun_mcp.doctor.findings import as_text
from cyberun_mcp.doctor.network import check_network
from cyberun_mcp.settings import Settings
from tests.doctor.findings import found


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


async def test_a_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.test:3128")
    findings = await check_network(Settings(base_url="https://cyberun.test/api/v1"))
    assert "proxy.test:3128" in found(findings, "proxy").text
    assert "secret" not in as_text(findings)


async def test_an_unknown_host_is_an_error(monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> None:
    async def find_nothing(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(anyio, "getaddrinfo", find_nothing)
    findings = await check_network(Settings(base_url="https://cyberun.test/api/v1"))
    assert found(findings, "DNS").status == "error"
    assert "HTTPS_PROXY" in found(findings, "DNS").remedy
    assert all(each.check != "TLS" for each in findings)


@pytest.mark.parametrize(
    ("failure", "advice"),
    [(ssl.SSLCertVerificationError("self-signed"), "SSL_CERT_FILE"), (ConnectionRefusedError("refused"), "firewall")],
)
async def test_a_failing_tls_handshake_is_an_error(
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


async def test_a_base_url_that_looks_wrong_is_a_warning(no_proxy: None) -> None:
    findings = await check_network(Settings(base_url="http://127.0.0.1:1"))
    assert found(findings, "base URL").status == "warning"
    assert "no TLS" in found(findings, "network").text


def test_a_certificate_that_soon_expires_is_a_warning() -> None:
    class Handshake:
        def __init__(self, days: int) -> None:
            self.ends = datetime.now(UTC) + timedelta(days=days, hours=1)

        def version(self) -> str:
            return "TLSv1.3"

        def getpeercert(self) -> dict[str, str]:
            return {"notAfter": self.ends.strftime("%b %d %H:%M:%S %Y GMT")}

    check: Any = network._check_certificate
    assert check(Handshake(90)).status == "ok"
    assert check(Handshake(3)).status == "warning"
