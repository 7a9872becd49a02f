"""Connections to the remote: TLS with trusted certificates only, with or without a proxy."""

import datetime as dt
import ipaddress
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cyberun_mcp.bridge.remote_settings import load_remote_settings
from cyberun_mcp.errors import ConfigurationError
from tests.bridge.client import KEY, bridge, call
from tests.bridge.raw_remote import STRAY_408, RawConnection, http_response, raw_remote, result_message
from tests.bridge.remotes import ReceivedRequest, scripted

NAME = "mcp.cyberun.test"  # only the proxy of these tests knows it, no name server does


class Authority(NamedTuple):
    certificate: Path
    server: ssl.SSLContext


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A test CA, and a server certificate that it has signed for NAME and loopback."""
    folder = tmp_path_factory.mktemp("certificates")
    own_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    own_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    now = dt.datetime.now(dt.UTC)

    def draft(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(own_name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))

    root = draft(own_name, own_key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = draft(x509.Name([]), server_key).add_extension(x509.SubjectAlternativeName(names), critical=True)
    (folder / "ca.pem").write_bytes(root.sign(own_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    chain = leaf.sign(own_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(chain + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return Authority(folder / "ca.pem", context)


class TunnelProxy(socketserver.ThreadingTCPServer):
    """A proxy that connects every CONNECT to one loopback port; `received` has the heads of its requests."""

    daemon_threads = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.target = target
        self.received: list[str] = []


class Tunnel(socketserver.StreamRequestHandler):
    server: TunnelProxy

    def handle(self) -> None:
        lines = []
        while line := self.rfile.readline().strip():
            lines.append(line.decode())
        self.server.received.append("\n".join(lines))
        if self.server.target == 0:
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self.server.target)) as remote:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=forward, args=(remote, self.connection))
            back.start()
            forward(self.connection, remote)
            back.join()


def forward(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        sink.close()


@contextmanager
def proxy(target: int) -> Iterator[TunnelProxy]:
    with TunnelProxy(target) as tunnels:
        thread = threading.Thread(target=tunnels.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield tunnels
        finally:
            tunnels.shutdown()
            thread.join()


def proxy_url(tunnels: TunnelProxy, account: str = "") -> str:
    return f"http://{account}127.0.0.1:{tunnels.server_address[1]}"


def test_a_certificate_signed_by_ssl_cert_file_is_trusted(authority: Authority) -> None:
    with (
        scripted(tls=authority.server) as remote,
        bridge(
            f"https://127.0.0.1:{remote.port}/mcp", environment={"SSL_CERT_FILE": str(authority.certificate)}
        ) as client,
    ):
        assert client.request({"id": 1, "method": "ping"})["result"]


def test_a_tls_connection_is_reused_until_unexpected_data_arrives(
    authority: Authority,
) -> None:
    def script(request: ReceivedRequest) -> None:
        behind = STRAY_408 if request.message["id"] == 3 else b""
        request.handler.wfile.write(http_response(result_message(request.message["id"])) + behind)

    environment = {"SSL_CERT_FILE": str(authority.certificate)}
    with (
        scripted(script, tls=authority.server) as remote,
        bridge(f"https://127.0.0.1:{remote.port}/mcp", environment=environment) as client,
    ):
        responses = [client.request({"id": number, "method": "tools/list"}) for number in range(1, 7)]
    assert all("result" in response for response in responses)
    ports = [request.handler.client_address[1] for request in remote.received]
    assert len(set(ports[:3])) == len(set(ports[3:])) == 1
    assert len(set(ports)) == 2


def test_the_key_is_not_sent_to_a_remote_with_an_untrusted_certificate(authority: Authority) -> None:
    with (
        scripted(tls=authority.server) as remote,
        bridge(f"https://127.0.0.1:{remote.port}/mcp", startup_wait=0) as client,
    ):
        message = client.request({"id": 1, "method": "initialize"})["error"]["message"]
    assert "its certificate is not trusted" in message
    assert "SSL_CERT_FILE" in message
    assert remote.received == []


def test_a_certificate_for_another_name_is_rejected(authority: Authority) -> None:
    with (
        scripted(tls=authority.server) as remote,
        bridge(
            f"https://localhost:{remote.port}/mcp", environment={"SSL_CERT_FILE": str(authority.certificate)}
        ) as client,
    ):
        assert "not trusted" in client.request({"id": 1, "method": "ping"})["error"]["message"]
    assert remote.received == []


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_https_uses_a_proxy_tunnel_and_the_proxy_sees_neither_key_nor_message(
    authority: Authority, variable: str
) -> None:
    with scripted(tls=authority.server) as remote, proxy(remote.port) as tunnels:
        environment = {variable: proxy_url(tunnels, "me:p%40ss@"), "SSL_CERT_FILE": str(authority.certificate)}
        with bridge(f"https://{NAME}/mcp", environment=environment) as client:
            assert client.request({"id": 1, "method": "ping"})["result"]
    [head] = tunnels.received
    assert head.startswith(f"CONNECT {NAME}:443 HTTP/1.1\n")
    assert "Proxy-Authorization: Basic bWU6cEBzcw==" in head
    assert remote.received[0].headers["host"] == NAME
    assert remote.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_no_proxy_and_loopback_bypass_the_proxy(authority: Authority) -> None:
    with scripted(tls=authority.server) as remote, proxy(remote.port) as tunnels:
        environment = {"HTTPS_PROXY": proxy_url(tunnels), "SSL_CERT_FILE": str(authority.certificate)}
        with bridge(f"https://127.0.0.1:{remote.port}/mcp", environment=environment) as client:
            assert client.request({"id": 1, "method": "ping"})["result"]
        environment["NO_PROXY"] = "a.example, .cyberun.test"
        with bridge(f"https://{NAME}/mcp", environment=environment) as client:
            assert "its name is unknown" in client.request({"id": 1, "method": "ping"})["error"]["message"]
    assert tunnels.received == []


@pytest.mark.parametrize("no_proxy", ["*", "example.com", ".example.com", "*.example.com", "x,mcp.example.com:443"])
def test_no_proxy_has_its_usual_syntax(no_proxy: str) -> None:
    def uses_proxy(host: str, **environ: str) -> bool:
        environ["HTTPS_PROXY"] = "http://proxy:1"
        return load_remote_settings(f"https://{host}/", [], None, allow_http=False, environ=environ).proxy is not None

    assert uses_proxy("mcp.example.com")
    assert not uses_proxy("mcp.example.com", NO_PROXY=no_proxy)
    assert uses_proxy("other.net", NO_PROXY=no_proxy) or no_proxy == "*"


def test_a_proxy_that_refuses_is_reported_as_the_cause() -> None:
    with (
        proxy(0) as tunnels,
        bridge(f"https://{NAME}/mcp", environment={"HTTPS_PROXY": proxy_url(tunnels, "me:hunter22@")}) as client,
    ):
        message = client.request({"id": 1, "method": "ping"})["error"]["message"]
        client.stdin.close()
        client.process.wait(60)
        assert "the proxy refused the tunnel (HTTP 407)" in message
        assert "hunter22" not in message + client.errors()


@pytest.mark.parametrize(
    ("proxy_response", "text"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n" + STRAY_408, "something behind the proxy speaks before it is asked"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "the proxy refused the tunnel (no HTTP)"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**18, "does not speak HTTP"),
        (b"", "the proxy closed the connection"),
    ],
)
def test_a_proxy_that_fails_to_open_the_tunnel_is_reported_as_the_cause(proxy_response: bytes, text: str) -> None:
    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(proxy_response)
        connection.close_write()

    with raw_remote(script) as proxied:
        environment = {"HTTPS_PROXY": f"http://127.0.0.1:{proxied.port}"}
        with bridge(f"https://{NAME}/mcp", environment=environment) as client:
            message = client.request(call(1, {}))["error"]["message"]
    assert text in message
    assert "Nothing was sent." in message


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"SSL_CERT_FILE": "/no/such/file"}, "SSL_CERT_FILE or SSL_CERT_DIR cannot be used"),
        ({"HTTPS_PROXY": "https://proxy:1"}, "HTTPS_PROXY must look like http://host:port"),
        ({"HTTPS_PROXY": "http://proxy:port"}, "HTTPS_PROXY must look like http://host:port"),
    ],
)
def test_an_invalid_network_setting_is_rejected_at_the_start(environ: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        load_remote_settings("https://mcp.example.com/", [], None, allow_http=False, environ=environ)
