"""A connection to the remote: directly or through a proxy's tunnel, with TLS where the URL says so."""

import asyncio
import contextlib
import re
import socket
import ssl

from cyberun_mcp.bridge.endpoint import Endpoint, Proxy
from cyberun_mcp.bridge.http1 import Connection
from cyberun_mcp.bridge.incoming import Incoming
from cyberun_mcp.bridge.trouble import unreachable

CONNECT_TIMEOUT = 5.0  # seconds for name, proxy, connection and TLS together; a VPN on another continent needs two
_LONGEST_ANSWER = 64 * 1024  # bytes of a proxy's answer to CONNECT
_NEXT_ADDRESS = 0.25  # seconds until the next address of a name is tried beside the first (RFC 8305)


async def dial(endpoint: Endpoint) -> Connection:
    """A fresh connection. Raises Trouble that says nothing was sent."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await _connect(endpoint)
    except TimeoutError as error:
        raise unreachable(endpoint, f"no connection within {CONNECT_TIMEOUT:.0f} s") from error
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not trusted ({error.verify_message}); SSL_CERT_FILE can name a CA of your own"
        raise unreachable(endpoint, why) from error
    except socket.gaierror as error:
        raise unreachable(endpoint, f"its name is unknown ({error.strerror})") from error
    except OSError as error:
        raise unreachable(endpoint, _reason(error)) from error


async def _connect(endpoint: Endpoint) -> Connection:
    name = endpoint.host if endpoint.tls else None
    incoming = Incoming()
    protocol = asyncio.StreamReaderProtocol(incoming)
    loop = asyncio.get_running_loop()
    if endpoint.proxy:
        tunnel = await _tunnel(endpoint.proxy, f"{_bracketed(endpoint.host)}:{endpoint.port}")
        transport, _ = await loop.create_connection(
            lambda: protocol, sock=tunnel, ssl=endpoint.tls, server_hostname=name
        )
    else:
        transport, _ = await loop.create_connection(
            lambda: protocol,
            endpoint.host,
            endpoint.port,
            ssl=endpoint.tls,
            server_hostname=name,
            happy_eyeballs_delay=_NEXT_ADDRESS,
        )
    _notice_a_dead_peer(transport.get_extra_info("socket"))
    return Connection(incoming, transport)


async def _tunnel(proxy: Proxy, destination: str) -> socket.socket:
    """A socket whose other end is the destination, by the proxy's CONNECT. Raises OSError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except socket.gaierror as error:
        raise ConnectionError("the name of the proxy is unknown; check HTTPS_PROXY") from error
    family, kind, protocol, _, address = found[0]
    tunnel = socket.socket(family, kind, protocol)
    try:
        tunnel.setblocking(False)
        await loop.sock_connect(tunnel, address)
        await _open(tunnel, destination, proxy.authorization)
    except BaseException:
        tunnel.close()
        raise
    return tunnel


async def _open(tunnel: socket.socket, destination: str, authorization: str) -> None:
    """Have the proxy at the other end connect us to the destination."""
    loop = asyncio.get_running_loop()
    account = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    request = f"CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n{account}\r\n"
    await loop.sock_sendall(tunnel, request.encode("ascii"))
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = await loop.sock_recv(tunnel, 4096)
        if not piece or len(answer) > _LONGEST_ANSWER:
            raise ConnectionError("the proxy closed the connection, or does not speak HTTP; check HTTPS_PROXY")
        answer += piece
    status = re.match(rb"HTTP/1\.\d (\d{3})(?!\d)", answer)
    if status is None or status[1] != b"200":
        said = f"HTTP {status[1].decode()}" if status else "no HTTP"
        raise ConnectionError(f"the proxy refused the tunnel ({said}); check HTTPS_PROXY")
    if answer.partition(b"\r\n\r\n")[2]:  # TLS lets the client speak first
        raise ConnectionError("something behind the proxy speaks before it is asked; check HTTPS_PROXY")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _notice_a_dead_peer(connection: socket.socket) -> None:
    """Have TCP itself ask: a call may wait for minutes in silence, and a peer that lost its power sends no goodbye."""
    # TCP_KEEPALIVE is what macOS calls TCP_KEEPIDLE.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPALIVE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            with contextlib.suppress(OSError):  # known to the headers, not to this system
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return error.strerror or str(error) or type(error).__name__
