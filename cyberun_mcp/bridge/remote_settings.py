"""The remote as the user named it: a URL that may be sent a credential, and how the way there leads."""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from cyberun_mcp.bridge.credentials import Credentials, refuse_unexpanded
from cyberun_mcp.errors import ConfigurationError
from cyberun_mcp.redaction import redact

HOSTED = "https://core.cyberun.cloud/api/v1/mcp"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Proxy(NamedTuple):
    """An HTTP proxy to tunnel through; `authorization` is the value of Proxy-Authorization, or empty."""

    host: str
    port: int
    authorization: str


class Endpoint(NamedTuple):
    """Where messages go, as whom, and through what. `shown` is the URL without anything that may be secret."""

    host: str
    port: int
    authority: str
    target: str
    shown: str
    credentials: Credentials
    tls: ssl.SSLContext | None
    proxy: Proxy | None

    def redact(self, text: str) -> str:
        """`text` without keys, and without the value of any header that was configured, whatever it looks like."""
        for secret in self.credentials.secrets:
            text = text.replace(secret, "…")
        return redact(text)


def endpoint(
    url: str, headers: Sequence[str], header_file: Path | None, *, allow_http: bool, environ: Mapping[str, str]
) -> Endpoint:
    """The endpoint at `url`. Raises ConfigurationError where it cannot or must not be used."""
    refuse_unexpanded("the URL", url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"This is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host or parts.fragment:
        raise ConfigurationError(f"Expected the URL of an MCP endpoint, such as {HOSTED}")
    if parts.username is not None:
        raise ConfigurationError("Leave user and password out of the URL: set CYBERUN_API_KEY or use --header-file")
    if parts.scheme == "http" and host not in _LOOPBACK and not allow_http:
        raise ConfigurationError(f"Plain http would send your key to {host} in clear: use https, or add --allow-http")
    secure = parts.scheme == "https"
    name = f"[{host}]" if ":" in host else host
    target = parts.path or "/"
    return Endpoint(
        host=host,
        port=port or (443 if secure else 80),
        authority=f"{name}:{port}" if port else name,
        target=f"{target}?{parts.query}" if parts.query else target,
        shown=f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path}",
        credentials=Credentials.gather(headers, header_file, environ),
        tls=_trust(environ) if secure else None,
        proxy=_proxy(host, port or 443, environ) if secure else None,
    )


def _trust(environ: Mapping[str, str]) -> ssl.SSLContext:
    """SSL_CERT_FILE or SSL_CERT_DIR where set, else what the operating system trusts."""
    file, folder = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if file or folder:
        try:
            context = ssl.create_default_context(cafile=file or None, capath=folder or None)
        except OSError as error:  # ssl.SSLError is one too
            raise ConfigurationError(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {error}") from error
    else:
        # Python's own default knows neither the macOS keychain nor certificates Windows fetches on demand.
        from truststore import SSLContext

        context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _proxy(host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    value = environ.get("https_proxy") or environ.get("HTTPS_PROXY")
    excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not value or host in _LOOPBACK or _is_excepted(host, port, excepted):
        return None
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        proxy_host, proxy_port = parts.hostname, parts.port
    except ValueError:
        proxy_host, proxy_port = None, None
    if not proxy_host or parts.scheme != "http":
        raise ConfigurationError("HTTPS_PROXY must look like http://host:port")
    if parts.username is None:
        return Proxy(proxy_host, proxy_port or 80, "")
    from base64 import b64encode

    account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(proxy_host, proxy_port or 80, f"Basic {b64encode(account.encode()).decode()}")


def _is_excepted(host: str, port: int, excepted: str) -> bool:
    """Whether NO_PROXY names the host: as itself, by a domain it is in, with or without its port, or by `*`."""
    for entry in excepted.replace(",", " ").split():
        name = entry.lower().removesuffix(f":{port}").removeprefix("*.").removeprefix(".").strip("[]")
        if entry == "*" or host == name or host.endswith(f".{name}"):
            return True
    return False
