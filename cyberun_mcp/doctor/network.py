"""The way to the platform: base URL, proxy, name, TLS."""

import socket
import ssl
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

import anyio
import httpx2
from anyio.streams.tls import TLSAttribute

from cyberun_mcp.api.connections import proxy_for
from cyberun_mcp.doctor.findings import Finding, error, ok, warning
from cyberun_mcp.settings import DEFAULT_BASE_URL, Settings, is_loopback

PATIENCE = 5.0  # seconds for a name or a handshake
SOON = 14  # days before a certificate ends in which it is worth a word


async def check_network(settings: Settings) -> list[Finding]:
    """One finding for each step of the way, up to the first that fails."""
    url = urlsplit(settings.base_url)
    host = url.hostname or ""
    findings = [_base_url(settings)]
    if is_loopback(host):
        return [*findings, ok("network", f"{host} is this machine: no proxy, no DNS, no TLS")]
    if proxy := proxy_for(settings.base_url):
        shown = urlsplit(proxy)
        text = f"through the proxy {shown.hostname}:{shown.port}, which looks up {host} itself"
        return [*findings, ok("proxy", text)]
    findings.append(ok("proxy", "none"))
    findings.append(await _name(host, url.port or 443))
    if findings[-1].status == "ok":
        findings.append(await _tls(url))
    return findings


def _base_url(settings: Settings) -> Finding:
    if settings.base_url == DEFAULT_BASE_URL:
        return ok("base URL", settings.base_url)
    if not urlsplit(settings.base_url).path.rstrip("/").endswith("/api/v1"):
        todo = (
            f"The platform's ends in /api/v1, as in {DEFAULT_BASE_URL}; correct CYBERUN_BASE_URL if yours should too."
        )
        return warning("base URL", settings.base_url, todo)
    return ok("base URL", f"{settings.base_url} (not the default)")


async def _name(host: str, port: int) -> Finding:
    try:
        with anyio.fail_after(PATIENCE):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as failure:
        todo = (
            "Check CYBERUN_BASE_URL and the network; behind a proxy, set HTTPS_PROXY for this command and the client."
        )
        return error("DNS", f"{host} is not found: {failure or 'no answer'}", todo)
    return ok("DNS", f"{host} is at {', '.join(sorted({str(each[4][0]) for each in found}))}")


async def _tls(url: SplitResult) -> Finding:
    host, port = url.hostname or "", url.port or 443
    try:
        with anyio.fail_after(PATIENCE):
            stream = await anyio.connect_tcp(host, port, ssl_context=httpx2.create_ssl_context(), tls_hostname=host)
    except ssl.SSLError as failure:
        todo = "If the network inspects TLS, its root certificate must be trusted: set SSL_CERT_FILE to a file with it."
        return error("TLS", f"no secure connection to {host}:{port}: {failure}", todo)
    except (OSError, TimeoutError) as failure:
        todo = "A firewall may be in the way; behind a proxy, set HTTPS_PROXY."
        return error("TLS", f"no connection to {host}:{port}: {failure or 'no answer'}", todo)
    async with stream:
        tls: ssl.SSLObject = stream.extra(TLSAttribute.ssl_object)  # noqa: S610 - not Django's
        return _certificate(tls)


def _certificate(tls: ssl.SSLObject) -> Finding:
    ends = (tls.getpeercert() or {}).get("notAfter")
    if not isinstance(ends, str):
        return ok("TLS", str(tls.version()))
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)
    text = f"{tls.version()}, certificate until {until:%Y-%m-%d}"
    if (until - datetime.now(UTC)).days < SOON:
        return warning("TLS", text, "The platform's certificate ends soon; if it is your own gateway's, renew it.")
    return ok("TLS", text)
