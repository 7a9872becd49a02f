"""One message to the remote and everything that comes back for it, in either era; renews a session the remote has lost.

A message is sent once. The exceptions are proven harmless: a 404 for a session says that nothing was carried out, and
`connections` may repeat what changes nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from cyberun_mcp.bridge.connections import Connections
from cyberun_mcp.bridge.endpoint import Endpoint
from cyberun_mcp.bridge.headers import envelope_headers
from cyberun_mcp.bridge.liveness import Liveness, Sign
from cyberun_mcp.bridge.messages import Message
from cyberun_mcp.bridge.mirrored import Mirrored
from cyberun_mcp.bridge.replies import Position, Reply, messages, one_line, replies
from cyberun_mcp.bridge.session import INITIALIZED, PING, Session
from cyberun_mcp.bridge.trouble import Trouble, Unreachable, answer_lost, refused, session_gone

_ACCEPT = {"Accept": "application/json, text/event-stream"}
_ACCEPT_EVENTS = {"Accept": "text/event-stream"}
_NOTE_TIMEOUT = 10.0  # seconds until the remote must have taken a notification
_PING_TIMEOUT = 10.0  # seconds for the answer to a ping, with its connection
_RELISTEN = 1.0  # seconds before a stream that has ended is asked for again, unless the remote names a time

Deliver = Callable[[bytes], Awaitable[None]]
Take = Callable[[Message, Reply, Mapping[str, str]], Awaitable[None]]
logger = logging.getLogger(__name__)


class SessionLost(Exception):
    """The remote does not know the session; the request was not carried out."""


class Exchange:
    """The remote, as the relay sees it.

    `deliver` takes the lines meant for the client; `answered` hears of a request just before its reply is delivered.
    """

    def __init__(self, endpoint: Endpoint, deliver: Deliver, answered: Callable[[Message], None]) -> None:
        self.session = Session()
        self._endpoint = endpoint
        self._deliver = deliver
        self._answered = answered
        self._connections = Connections(endpoint, Liveness(self._sign_of_life))
        self._renewal = asyncio.Lock()
        self._mirrored = Mirrored()
        self._listening: asyncio.Task[None] | None = None

    async def request(self, message: Message) -> None:
        """Send a request and deliver what comes up to its reply. Raises Trouble if there is none."""
        version = message.envelope_version
        if version is not None:
            mirrored = self._mirrored.headers(message.params) if message.method == "tools/call" else {}
            await self._until_reply(message, envelope_headers(message, version) | mirrored, self._pass_on)
        elif message.method == "initialize":
            self.session.begin(message)
            await self._until_reply(message, {}, self._pass_on)
        else:
            await self._in_session(message)

    async def note(self, message: Message) -> None:
        """Send a notification, or the client's answer to a request of the remote. Raises Trouble."""
        version = message.envelope_version
        headers = self.session.headers() if version is None else envelope_headers(message, version)
        try:
            async with asyncio.timeout(_NOTE_TIMEOUT):
                await self._send(message, headers)
        except TimeoutError as error:
            raise answer_lost(self._endpoint, message.method, f"no answer in {_NOTE_TIMEOUT:.0f} s") from error
        if message.method == INITIALIZED.method and self.session.id is not None:
            if self._listening:
                self._listening.cancel()
            self._listening = asyncio.create_task(self._listen())

    async def leave(self) -> None:
        """Tell the remote that the session is over; it may forget it."""
        async with self._connections.exchange("DELETE", self.session.headers()):
            return

    async def _sign_of_life(self) -> Sign:
        """Ask the remote whether it is there. A refusal is an answer too: only a remote that lives can refuse."""
        headers = _ACCEPT | self.session.headers()
        try:
            async with asyncio.timeout(_PING_TIMEOUT):
                async with self._connections.exchange(
                    "POST", headers, PING.line, method=PING.method, watched=False
                ) as answer:
                    return Sign.ANSWERED if answer.status < 300 or 400 <= answer.status < 500 else Sign.SILENT
        except Unreachable:
            return Sign.UNREACHABLE
        except (Trouble, TimeoutError):
            return Sign.SILENT

    async def _listen(self) -> None:
        """Deliver what the remote says on its own, as long as the session lives; many remotes never do."""
        session, position = self.session.id, Position()
        while session == self.session.id:
            try:
                async with self._connections.exchange(
                    "GET", self._resuming(position), method="ping", watched=False
                ) as answer:
                    if answer.status != 200 or answer.media_type != "text/event-stream":
                        return
                    async for data, body in messages(answer, position):
                        if "method" in body:  # nobody waits here for an answer
                            await self._deliver(one_line(data))
            except Trouble as trouble:
                logger.debug("%s", trouble)
            await asyncio.sleep(_RELISTEN if position.retry is None else position.retry)

    async def _in_session(self, message: Message) -> None:
        if self.session.must_be_opened:
            await self._renew(None)
        session = self.session.id
        try:
            return await self._until_reply(message, self.session.headers(), self._pass_on)
        except SessionLost:
            await self._renew(session)
        try:
            return await self._until_reply(message, self.session.headers(), self._pass_on)
        except SessionLost as error:
            raise session_gone(self._endpoint) from error

    async def _renew(self, lost: str | None) -> None:
        """Open the session anew, as the client once opened it, unless another call has just done so."""
        async with self._renewal:
            opening = self.session.opening
            if opening is None or self.session.id != lost or (lost is None and not self.session.must_be_opened):
                return
            logger.warning("The remote has no session for this client; opening one.")
            self.session.id = self.session.version = None
            await self._until_reply(opening, {}, self._settle_silently)
            try:
                await self.note(INITIALIZED)
            except Trouble as trouble:  # the request that follows will meet the same, and say so
                logger.debug("%s", trouble)

    async def _send(self, message: Message, headers: dict[str, str]) -> None:
        """Send a message that is answered by a status alone."""
        async with self._connections.exchange("POST", _ACCEPT | headers, message.line, method=message.method) as answer:
            if answer.status >= 300:
                content = await answer.read()
                raise refused(self._endpoint, message.method, answer.status, answer.headers, content)

    async def _until_reply(self, message: Message, headers: dict[str, str], take: Take) -> None:
        """Send `message`, and hand to `take` what comes back up to its reply.

        A stream that ends before is taken up again where the remote offers that, as some do by design (2025-11-25).
        """
        position = Position()
        try:
            if await self._replied("POST", message, _ACCEPT | headers, take, position):
                return
        except Trouble:
            if not position.last_id:
                raise
        read_to = ""
        while position.last_id != read_to:
            read_to = position.last_id
            await asyncio.sleep(position.retry or 0)
            try:
                if await self._replied("GET", message, self._resuming(position), take, position):
                    return
            except Trouble as trouble:
                logger.debug("%s", trouble)
        raise answer_lost(self._endpoint, message.method, "its stream ended without a reply")

    async def _replied(
        self, verb: str, message: Message, headers: dict[str, str], take: Take, position: Position
    ) -> bool:
        """Whether the reply to `message` was in the answer to one HTTP request."""
        body = message.line if verb == "POST" else b""
        async with self._connections.exchange(verb, headers, body, method=message.method) as answer:
            if answer.status == 404 and verb == "POST" and "Mcp-Session-Id" in headers:
                raise SessionLost
            async for reply in replies(self._endpoint, answer, message, position):
                await take(message, reply, answer.headers)
                if reply.final:
                    return True
        return False

    async def _pass_on(self, message: Message, reply: Reply, headers: Mapping[str, str]) -> None:
        self._settle(message, reply, headers)
        if reply.final:
            self._answered(message)
        await self._deliver(reply.line)

    async def _settle_silently(self, message: Message, reply: Reply, headers: Mapping[str, str]) -> None:
        self._settle(message, reply, headers)
        if reply.final and "error" in reply.body:
            raise Trouble(self._endpoint.redact(f"The session could not be opened anew: {reply.body['error']}"))

    def _settle(self, message: Message, reply: Reply, headers: Mapping[str, str]) -> None:
        """Take note of what a reply says to us as well, before the client reads it and goes on."""
        result = reply.body.get("result")
        if not reply.final or not isinstance(result, dict):
            return
        if message.method == "initialize":
            self.session.settle(result, headers)
        elif message.method == "tools/list":
            self._mirrored.learn(result)

    def _resuming(self, position: Position) -> dict[str, str]:
        last = {"Last-Event-ID": position.last_id} if position.last_id else {}
        return _ACCEPT_EVENTS | self.session.headers() | last
