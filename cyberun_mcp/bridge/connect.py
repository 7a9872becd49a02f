"""Opens connections to the remote: directly or through a proxy's tunnel, with TLS for an https URL."""

import asyncio
import contextlib
import re
import socket
import ssl

from cyberun_mcp.bridge.error_texts import remote_unreachable
from cyberun_mcp.bridge.http_connection import HttpConnection
from cyberun_mcp.bridge.remote_settings import Proxy, RemoteSettings
from cyberun_mcp.bridge.response_reader import ResponseReader

CONNECT_TIMEOUT = 5.0  # seconds for name, proxy, connection and TLS together; a VPN on another continent needs two
_MAX_PROXY_RESPONSE = 64 * 1024  # bytes
_NEXT_ADDRESS_DELAY = 0.25  # seconds until the next address of a name is tried in parallel (RFC 8305)


async def connect(remote: RemoteSettings) -> HttpConnection:
    """A new connection. Raises RemoteUnreachable, whose text says that nothing was sent."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await _connect(remote)
    except TimeoutError as error:
        raise remote_unreachable(remote, f"no connection within {CONNECT_TIMEOUT:.0f} s") from error
    except ssl.SSLCertVerificationError as error:
        reason = f"its certificate is not trusted ({error.verify_message}); SSL_CERT_FILE can name a CA of your own"
        raise remote_unreachable(remote, reason) from error
    except socket.gaierror as error:
        raise remote_unreachable(remote, f"its name is unknown ({error.strerror})") from error
    except OSError as error:
        raise remote_unreachable(remote, _reason(error)) from error


async def _connect(remote: RemoteSettings) -> HttpConnection:
    server_hostname = remote.host if remote.tls else None
    reader = ResponseReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    loop = asyncio.get_running_loop()
    if remote.proxy:
        tunnel = await _open_tunnel(remote.proxy, f"{_bracketed(remote.host)}:{remote.port}")
        transport, _ = await loop.create_connection(
            lambda: protocol, sock=tunnel, ssl=remote.tls, server_hostname=server_hostname
        )
    else:
        transport, _ = await loop.create_connection(
            lambda: protocol,
            remote.host,
            remote.port,
            ssl=remote.tls,
            server_hostname=server_hostname,
            happy_eyeballs_delay=_NEXT_ADDRESS_DELAY,
        )
    _enable_tcp_keepalive(transport.get_extra_info("socket"))
    return HttpConnection(reader, transport)


async def _open_tunnel(proxy: Proxy, destination: str) -> socket.socket:
    """A socket that the proxy has connected to `host:port`. Raises OSError."""
    loop = asyncio.get_running_loop()
    try:
        addresses = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except socket.gaierror as error:
        raise ConnectionError("the name of the proxy is unknown; check HTTPS_PROXY") from error
    family, kind, protocol, _, address = addresses[0]
    tunnel = socket.socket(family, kind, protocol)
    try:
        tunnel.setblocking(False)
        await loop.sock_connect(tunnel, address)
        await _send_connect(tunnel, destination, proxy.authorization)
    except BaseException:
        tunnel.close()
        raise
    return tunnel


async def _send_connect(tunnel: socket.socket, destination: str, authorization: str) -> None:
    """Send CONNECT to the proxy and check its response. Raises ConnectionError."""
    loop = asyncio.get_running_loop()
    credential = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    request = f"CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n{credential}\r\n"
    await loop.sock_sendall(tunnel, request.encode("ascii"))
    response = b""
    while b"\r\n\r\n" not in response:
        piece = await loop.sock_recv(tunnel, 4096)
        if not piece or len(response) > _MAX_PROXY_RESPONSE:
            raise ConnectionError("the proxy closed the connection, or does not speak HTTP; check HTTPS_PROXY")
        response += piece
    status = re.match(rb"HTTP/1\.\d (\d{3})(?!\d)", response)
    if status is None or status[1] != b"200":
        problem = f"HTTP {status[1].decode()}" if status else "no HTTP"
        raise ConnectionError(f"the proxy refused the tunnel ({problem}); check HTTPS_PROXY")
    if response.partition(b"\r\n\r\n")[2]:  # with TLS the client speaks first
        raise ConnectionError("something behind the proxy speaks before it is asked; check HTTPS_PROXY")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _enable_tcp_keepalive(connection: socket.socket) -> None:
    """Detect a dead peer through TCP: a call may be silent for minutes, and a peer without power closes nothing."""
    # TCP_KEEPALIVE is the macOS name of TCP_KEEPIDLE.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPALIVE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            with contextlib.suppress(OSError):  # Python knows the option, but this system does not
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return error.strerror or str(error) or type(error).__name__
