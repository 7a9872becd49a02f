"""The remote as the relay uses it: headers for both protocol eras, and the session of the 2025 eras.

A session that the remote has lost is opened again with the client's own `initialize`. The request that met the 404 is
then sent once more, which is safe because a 404 for a session means that it was not carried out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cyberun_mcp.bridge.error_texts import response_lost, session_lost_again
from cyberun_mcp.bridge.errors import RequestFailed, SessionExpired
from cyberun_mcp.bridge.jsonrpc import Message
from cyberun_mcp.bridge.remote_settings import RemoteSettings
from cyberun_mcp.bridge.request_headers import ParameterHeaders, envelope_headers, session_headers
from cyberun_mcp.bridge.response_messages import RemoteMessage, StreamPosition
from cyberun_mcp.bridge.streamable_http import Headers, StreamableHttp

INITIALIZED = Message(b'{"jsonrpc":"2.0","method":"notifications/initialized"}', "notifications/initialized", None, {})

_NOTIFICATION_TIMEOUT = 10.0  # seconds until the remote must have accepted a notification
_LISTEN_PAUSE = 1.0  # seconds before an ended stream is opened again, unless the remote names a time

logger = logging.getLogger(__name__)


class Session:
    """What `initialize` agreed on with a remote of the 2025 eras; `id` is None for a stateless remote."""

    def __init__(self) -> None:
        self.initialize: Message | None = None  # the client's own message, to open the session again
        self.version: str | None = None
        self.id: str | None = None

    def begin(self, initialize: Message) -> None:
        """The client has sent `initialize`, which ends any previous session."""
        self.initialize, self.version, self.id = initialize, None, None

    def accept(self, result: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Store the version and the session id from the remote's response."""
        version = result.get("protocolVersion")
        self.version = version if isinstance(version, str) else None
        self.id = headers.get("mcp-session-id")

    @property
    def must_be_opened(self) -> bool:
        """Whether `initialize` has never reached the remote, for example because it was down."""
        return self.initialize is not None and self.version is None

    def headers(self) -> dict[str, str]:
        """The headers of every message in this session."""
        return session_headers(self.version, self.id)


class RemoteClient:
    """The client's messages to the remote, and the remote's messages back.

    `deliver` writes a line to the client. `on_response` is called with a request just before its response is delivered.
    """

    def __init__(
        self,
        remote: RemoteSettings,
        deliver: Callable[[bytes], Awaitable[None]],
        on_response: Callable[[Message], None],
    ) -> None:
        self.session = Session()
        self._remote = remote
        self._deliver = deliver
        self._on_response = on_response
        self._http = StreamableHttp(remote, self.session.headers)
        self._reopening = asyncio.Lock()
        self._parameter_headers = ParameterHeaders()
        self._listening: asyncio.Task[None] | None = None

    async def request(self, message: Message) -> None:
        """Send a request and deliver all messages up to its response. Raises RequestFailed if there is no response."""
        version = message.envelope_version
        if version is not None:
            headers = envelope_headers(message, version)
            if message.method == "tools/call":
                headers |= self._parameter_headers.headers(message.params)
            await self._http.request(message, headers, self._forward)
        elif message.method == "initialize":
            self.session.begin(message)
            await self._http.request(message, {}, self._forward)
        else:
            await self._request_in_session(message)

    async def notify(self, message: Message) -> None:
        """Send a notification, or the client's response to a request of the remote. Raises RequestFailed."""
        version = message.envelope_version
        headers = self.session.headers() if version is None else envelope_headers(message, version)
        try:
            async with asyncio.timeout(_NOTIFICATION_TIMEOUT):
                await self._http.notify(message, headers)
        except TimeoutError as error:
            reason = f"no answer in {_NOTIFICATION_TIMEOUT:.0f} s"
            raise response_lost(self._remote, message.method, reason) from error
        if message.method == INITIALIZED.method and self.session.id is not None:
            if self._listening:
                self._listening.cancel()
            self._listening = asyncio.create_task(self._listen())

    async def end_session(self) -> None:
        """Tell the remote that the session has ended. Raises RequestFailed."""
        await self._http.delete_session()

    async def _listen(self) -> None:
        """Deliver what the remote sends outside of any response, for as long as this session lasts."""
        session_id, position = self.session.id, StreamPosition()
        while session_id == self.session.id:
            try:
                if not await self._http.receive_stream(position, self._deliver):
                    return
            except RequestFailed as error:
                logger.debug("%s", error)
            await asyncio.sleep(_LISTEN_PAUSE if position.retry is None else position.retry)

    async def _request_in_session(self, message: Message) -> None:
        if self.session.must_be_opened:
            await self._reopen_session(None)
        session_id = self.session.id
        try:
            return await self._http.request(message, self.session.headers(), self._forward)
        except SessionExpired:
            await self._reopen_session(session_id)
        try:
            return await self._http.request(message, self.session.headers(), self._forward)
        except SessionExpired as error:
            raise session_lost_again(self._remote) from error

    async def _reopen_session(self, expired_id: str | None) -> None:
        """Send the client's `initialize` again, unless another call has just done so."""
        async with self._reopening:
            initialize = self.session.initialize
            if initialize is None or self.session.id != expired_id:
                return
            if expired_id is None and not self.session.must_be_opened:
                return
            logger.warning("The remote has no session for this client; opening one.")
            self.session.id = self.session.version = None
            await self._http.request(initialize, {}, self._accept_reopening)
            try:
                await self.notify(INITIALIZED)
            except RequestFailed as error:  # the request that follows will fail the same way and report it
                logger.debug("%s", error)

    async def _forward(self, request: Message, message: RemoteMessage, headers: Headers) -> None:
        self._learn(request, message, headers)
        if message.final:
            self._on_response(request)
        await self._deliver(message.line)

    async def _accept_reopening(self, request: Message, message: RemoteMessage, headers: Headers) -> None:
        self._learn(request, message, headers)
        if message.final and "error" in message.body:
            reason = f"The session could not be opened anew: {message.body['error']}"
            raise RequestFailed(self._remote.redact(reason))

    def _learn(self, request: Message, message: RemoteMessage, headers: Headers) -> None:
        """Store what the next requests need from a response: the session, and the arguments to repeat in headers.

        This happens before the client gets the response and can send its next request.
        """
        result = message.body.get("result")
        if not message.final or not isinstance(result, dict):
            return
        if request.method == "initialize":
            self.session.accept(result, headers)
        elif request.method == "tools/list":
            self._parameter_headers.learn(result)
