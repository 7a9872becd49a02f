"""Where the remote is and how to reach it: URL, configured headers, TLS certificates and HTTPS proxy."""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from cyberun_mcp.bridge.configured_headers import ConfiguredHeaders, reject_placeholder
from cyberun_mcp.errors import ConfigurationError
from cyberun_mcp.redaction import redact

HOSTED_URL = "https://core.cyberun.cloud/api/v1/mcp"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Proxy(NamedTuple):
    """An HTTP proxy to tunnel through; `authorization` is the value of Proxy-Authorization, or empty."""

    host: str
    port: int
    authorization: str


class RemoteSettings(NamedTuple):
    """The remote endpoint. `target` is the path with its query, `display_url` the URL without anything secret."""

    host: str
    port: int
    authority: str
    target: str
    display_url: str
    headers: ConfiguredHeaders
    tls: ssl.SSLContext | None
    proxy: Proxy | None

    def redact(self, text: str) -> str:
        """`text` with every key and every configured header's value replaced by an ellipsis."""
        for secret in self.headers.secrets:
            text = text.replace(secret, "…")
        return redact(text)


def load_remote_settings(
    url: str, headers: Sequence[str], header_file: Path | None, *, allow_http: bool, environ: Mapping[str, str]
) -> RemoteSettings:
    """The settings for the endpoint at `url`. Raises ConfigurationError for a URL that is invalid or unsafe to use."""
    reject_placeholder("the URL", url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"This is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host or parts.fragment:
        raise ConfigurationError(f"Expected the URL of an MCP endpoint, such as {HOSTED_URL}")
    if parts.username is not None:
        raise ConfigurationError("Leave user and password out of the URL: set CYBERUN_API_KEY or use --header-file")
    if parts.scheme == "http" and host not in _LOOPBACK and not allow_http:
        raise ConfigurationError(f"Plain http would send your key to {host} in clear: use https, or add --allow-http")
    secure = parts.scheme == "https"
    name = f"[{host}]" if ":" in host else host
    target = parts.path or "/"
    return RemoteSettings(
        host=host,
        port=port or (443 if secure else 80),
        authority=f"{name}:{port}" if port else name,
        target=f"{target}?{parts.query}" if parts.query else target,
        display_url=f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path}",
        headers=ConfiguredHeaders.load(headers, header_file, environ),
        tls=_tls_context(environ) if secure else None,
        proxy=_proxy(host, port or 443, environ) if secure else None,
    )


def _tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """A context that trusts SSL_CERT_FILE or SSL_CERT_DIR if set, else the certificates of the operating system."""
    file, folder = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if file or folder:
        try:
            context = ssl.create_default_context(cafile=file or None, capath=folder or None)
        except OSError as error:  # includes ssl.SSLError
            raise ConfigurationError(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {error}") from error
    else:
        # Python's default reads neither the macOS keychain nor the certificates that Windows fetches on demand.
        from truststore import SSLContext

        context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _proxy(host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    value = environ.get("https_proxy") or environ.get("HTTPS_PROXY")
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not value or host in _LOOPBACK or _bypasses_proxy(host, port, no_proxy):
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


def _bypasses_proxy(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY lists the host, by its name, by a parent domain, with or without its port, or with `*`."""
    for entry in no_proxy.replace(",", " ").split():
        name = entry.lower().removesuffix(f":{port}").removeprefix("*.").removeprefix(".").strip("[]")
        if entry == "*" or host == name or host.endswith(f".{name}"):
            return True
    return False
