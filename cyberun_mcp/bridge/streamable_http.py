"""MCP's Streamable HTTP transport, client side: sends one message and receives the messages that answer it.

A request is sent once. An event stream that ends before the response is resumed, if the remote supports that. Some
remotes end streams by design (2025-11-25).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from cyberun_mcp.bridge.connection_pool import RemoteConnections
from cyberun_mcp.bridge.error_texts import http_error, response_lost
from cyberun_mcp.bridge.errors import RemoteUnreachable, RequestFailed, SessionExpired
from cyberun_mcp.bridge.jsonrpc import Message
from cyberun_mcp.bridge.liveness import Liveness, PingResult
from cyberun_mcp.bridge.remote_settings import RemoteSettings
from cyberun_mcp.bridge.response_messages import RemoteMessage, StreamPosition, messages_for, one_line, stream_messages

PING = Message(b'{"jsonrpc":"2.0","id":"cyberun-mcp-bridge","method":"ping"}', "ping", "cyberun-mcp-bridge", {})

_ACCEPT = {"Accept": "application/json, text/event-stream"}
_ACCEPT_EVENTS = {"Accept": "text/event-stream"}
_PING_TIMEOUT = 10.0  # seconds for the response to a ping, including its connection

Headers = Mapping[str, str]
OnMessage = Callable[[Message, RemoteMessage, Headers], Awaitable[None]]  # the request, a message for it, its headers
logger = logging.getLogger(__name__)


class StreamableHttp:
    """The remote's MCP endpoint. `session_headers` gives the headers of the current session, if there is one."""

    def __init__(self, remote: RemoteSettings, session_headers: Callable[[], dict[str, str]]) -> None:
        self._remote = remote
        self._session_headers = session_headers
        self._connections = RemoteConnections(remote, Liveness(self._ping))

    async def request(self, message: Message, headers: dict[str, str], on_message: OnMessage) -> None:
        """Send a request and pass every message that answers it to `on_message`, up to the response.

        Raises RequestFailed if there is no response, and SessionExpired.
        """
        position = StreamPosition()
        try:
            if await self._receive_response("POST", message, _ACCEPT | headers, on_message, position):
                return
        except RequestFailed:
            if not position.last_id:
                raise
        resumed_at = ""
        while position.last_id != resumed_at:
            resumed_at = position.last_id
            await asyncio.sleep(position.retry or 0)
            try:
                if await self._receive_response("GET", message, self._resume_headers(position), on_message, position):
                    return
            except RequestFailed as error:
                logger.debug("%s", error)
        raise response_lost(self._remote, message.method, "its stream ended without a reply")

    async def notify(self, message: Message, headers: dict[str, str]) -> None:
        """Send a message that is answered by an HTTP status alone. Raises RequestFailed."""
        async with self._connections.request(
            "POST", _ACCEPT | headers, message.line, method=message.method
        ) as response:
            if response.status >= 300:
                content = await response.read()
                raise http_error(self._remote, message.method, response.status, response.headers, content)

    async def receive_stream(self, position: StreamPosition, deliver: Callable[[bytes], Awaitable[None]]) -> bool:
        """Open a GET stream and deliver its requests and notifications until it ends.

        Returns False if the remote has no such stream. Raises RequestFailed.
        """
        headers = self._resume_headers(position)
        # A GET may be repeated like a ping. It may be silent without limit.
        async with self._connections.request("GET", headers, method="ping", watched=False) as response:
            if response.status != 200 or response.media_type != "text/event-stream":
                return False
            async for data, body in stream_messages(response, position):
                if "method" in body:  # a response does not belong here: no request waits for it
                    await deliver(one_line(data))
        return True

    async def delete_session(self) -> None:
        """Tell the remote that the session has ended. Raises RequestFailed."""
        async with self._connections.request("DELETE", self._session_headers()):
            return

    async def _receive_response(
        self,
        http_method: str,
        message: Message,
        headers: dict[str, str],
        on_message: OnMessage,
        position: StreamPosition,
    ) -> bool:
        """Send one HTTP request; whether the response to `message` was in its HTTP response."""
        body = message.line if http_method == "POST" else b""
        async with self._connections.request(http_method, headers, body, method=message.method) as response:
            if response.status == 404 and http_method == "POST" and "Mcp-Session-Id" in headers:
                raise SessionExpired
            async for answer in messages_for(self._remote, response, message, position):
                await on_message(message, answer, response.headers)
                if answer.final:
                    return True
        return False

    def _resume_headers(self, position: StreamPosition) -> dict[str, str]:
        last_event = {"Last-Event-ID": position.last_id} if position.last_id else {}
        return _ACCEPT_EVENTS | self._session_headers() | last_event

    async def _ping(self) -> PingResult:
        """Ping the remote on a new connection. A 4xx counts as an answer, because only the remote itself sends it."""
        headers = _ACCEPT | self._session_headers()
        try:
            async with asyncio.timeout(_PING_TIMEOUT):
                async with self._connections.request(
                    "POST", headers, PING.line, method=PING.method, watched=False
                ) as response:
                    answered = response.status < 300 or 400 <= response.status < 500
                    return PingResult.ANSWERED if answered else PingResult.NO_ANSWER
        except RemoteUnreachable:
            return PingResult.UNREACHABLE
        except (RequestFailed, TimeoutError):
            return PingResult.NO_ANSWER
