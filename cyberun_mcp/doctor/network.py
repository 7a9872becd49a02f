"""Checks the network between here and the platform: base URL, proxy, DNS and TLS."""

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

STEP_TIMEOUT = 5.0  # in seconds, for a DNS query or a TLS handshake
CERTIFICATE_WARNING = 14  # in days before a certificate expires


async def check_network(settings: Settings) -> list[Finding]:
    """One finding for each step, up to the first one that fails."""
    url = urlsplit(settings.base_url)
    host = url.hostname or ""
    findings = [_check_base_url(settings)]
    if is_loopback(host):
        return [*findings, ok("network", f"{host} is this machine: no proxy, no DNS, no TLS")]
    if proxy := proxy_for(settings.base_url):
        proxy_url = urlsplit(proxy)
        text = f"through the proxy {proxy_url.hostname}:{proxy_url.port}, which looks up {host} itself"
        return [*findings, ok("proxy", text)]
    findings.append(ok("proxy", "none"))
    findings.append(await _check_dns(host, url.port or 443))
    if findings[-1].status == "ok":
        findings.append(await _check_tls(url))
    return findings


def _check_base_url(settings: Settings) -> Finding:
    if settings.base_url == DEFAULT_BASE_URL:
        return ok("base URL", settings.base_url)
    if not urlsplit(settings.base_url).path.rstrip("/").endswith("/api/v1"):
        remedy = (
            f"The platform's ends in /api/v1, as in {DEFAULT_BASE_URL}; correct CYBERUN_BASE_URL if yours should too."
        )
        return warning("base URL", settings.base_url, remedy)
    return ok("base URL", f"{settings.base_url} (not the default)")


async def _check_dns(host: str, port: int) -> Finding:
    try:
        with anyio.fail_after(STEP_TIMEOUT):
            addresses = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as failure:
        remedy = (
            "Check CYBERUN_BASE_URL and the network; behind a proxy, set HTTPS_PROXY for this command and the client."
        )
        return error("DNS", f"{host} is not found: {failure or 'no answer'}", remedy)
    return ok("DNS", f"{host} is at {', '.join(sorted({str(address[4][0]) for address in addresses}))}")


async def _check_tls(url: SplitResult) -> Finding:
    host, port = url.hostname or "", url.port or 443
    try:
        with anyio.fail_after(STEP_TIMEOUT):
            stream = await anyio.connect_tcp(host, port, ssl_context=httpx2.create_ssl_context(), tls_hostname=host)
    except ssl.SSLError as failure:
        remedy = (
            "If the network inspects TLS, its root certificate must be trusted: set SSL_CERT_FILE to a file with it."
        )
        return error("TLS", f"no secure connection to {host}:{port}: {failure}", remedy)
    except (OSError, TimeoutError) as failure:
        remedy = "A firewall may be in the way; behind a proxy, set HTTPS_PROXY."
        return error("TLS", f"no connection to {host}:{port}: {failure or 'no answer'}", remedy)
    async with stream:
        return _check_certificate(stream.extra(TLSAttribute.ssl_object))  # noqa: S610 - not Django's


def _check_certificate(tls: ssl.SSLObject) -> Finding:
    not_after = (tls.getpeercert() or {}).get("notAfter")
    if not isinstance(not_after, str):
        return ok("TLS", str(tls.version()))
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(not_after), UTC)
    text = f"{tls.version()}, certificate until {expires:%Y-%m-%d}"
    if (expires - datetime.now(UTC)).days < CERTIFICATE_WARNING:
        return warning("TLS", text, "The platform's certificate ends soon; if it is your own gateway's, renew it.")
    return ok("TLS", text)
