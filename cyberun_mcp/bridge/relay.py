"""Relays the client's messages to the remote and back. Each of any number of parallel calls is answered exactly once.

Messages of the 2025 eras wait until `initialize` and `notifications/initialized` have been sent, because every later
message carries their outcome in its headers. Messages of the 2026 era wait for nothing.

A request is not sent if another request with the same id is in flight. Its error has no id, so that the only response
with that id is the one for the first request.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from typing import NamedTuple

from cyberun_mcp.bridge.errors import InvalidMessage, RequestFailed
from cyberun_mcp.bridge.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    JsonRpcId,
    Message,
    error_line,
    parse_message,
    usable_id,
)
from cyberun_mcp.bridge.pending_runs import unknown_outcome_line, unsent_line, wait_for_runs, workflow_of
from cyberun_mcp.bridge.remote_client import RemoteClient
from cyberun_mcp.bridge.remote_settings import RemoteSettings
from cyberun_mcp.bridge.stdio import Lines, Output

STARTUP_WAIT = 10.0  # seconds that a client's first request waits for a remote that is down; clients time out after 30
_FIRST_REQUESTS = ("initialize", "server/discover")
_HANDSHAKE = ("initialize", "notifications/initialized")
_MAX_QUOTED_ID = 100  # characters of a duplicate id in its error text
_MAX_CALLS_WHILE_BLOCKED = 256  # allows a client to write a burst before it reads; a client that never reads is stopped

_RequestKey = tuple[type, JsonRpcId]

logger = logging.getLogger(__name__)


class PendingRequest(NamedTuple):
    """A request in flight."""

    message: Message
    task: asyncio.Task[None]
    handshake: asyncio.Task[None] | None  # what it waits for before it is sent

    @property
    def is_unsent(self) -> bool:
        """Whether it certainly has not left yet."""
        return self.handshake is not None and not self.handshake.done()


class Relay:
    """The requests of one client. `startup_wait` is in seconds, like `STARTUP_WAIT`."""

    def __init__(self, remote: RemoteSettings, output: Output, startup_wait: float) -> None:
        self._output = output
        self._startup_wait = startup_wait
        self._remote = RemoteClient(remote, output.write, self._forget)
        self._pending: dict[_RequestKey, PendingRequest] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._handshake: asyncio.Task[None] | None = None
        self._last_logged = ""

    async def run(self, lines: Lines) -> None:
        """Process the client's lines until the last one; requests may still be in flight at the end."""
        while True:
            try:
                line = await lines.read()
                if not line:
                    return
                self._process(parse_message(line))
            except InvalidMessage as error:
                for request_id in error.ids:
                    in_use = request_id is not None and _key(request_id) in self._pending
                    await self._output.write(error_line(None if in_use else request_id, error.code, str(error)))
            if self._output.blocked and len(self._pending) >= _MAX_CALLS_WHILE_BLOCKED:
                await self._output.room()

    async def end(self, seconds: float) -> None:
        """Cancel all requests and end the session, as far as that is possible in this time."""
        for pending in self._pending.values():
            pending.task.cancel()
        if self._remote.session.id is not None:
            self._spawn(self._remote.end_session())
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def finish_runs(self, seconds: float, *, send_waiting: bool) -> None:
        """Wait for the runs in flight, and send an error to the client for those that stay unanswered.

        Runs that wait for the handshake are still sent if `send_waiting`, or else dropped at once.
        """
        if not send_waiting:
            self._drop_unsent_runs()
        runs = {pending.task: pending.message for pending in self._pending_runs()}
        await wait_for_runs(runs, seconds)
        self._drop_unsent_runs()
        for pending in self._pending_runs():
            self._spawn(self._output.write(unknown_outcome_line(pending.message)))

    def _pending_runs(self) -> list[PendingRequest]:
        return [pending for pending in self._pending.values() if workflow_of(pending.message) is not None]

    def _drop_unsent_runs(self) -> None:
        for pending in self._pending_runs():
            if pending.is_unsent:
                self._forget(pending.message)
                pending.task.cancel()
                self._spawn(self._output.write(unsent_line(pending.message)))

    def _process(self, message: Message) -> None:
        if message.is_request and message.id is not None:
            if _key(message.id) in self._pending:
                quoted_id = json.dumps(message.id)[:_MAX_QUOTED_ID]
                text = f"Invalid request: the id {quoted_id} is in use by a call in flight"
                raise InvalidMessage(INVALID_REQUEST, f"{text}; this {message.method} was not sent", [message.id])
            handshake = self._handshake_for(message)
            task = self._spawn(self._answer(message, message.id, handshake))
            self._pending[_key(message.id)] = PendingRequest(message, task, handshake)
        elif message.method == "notifications/cancelled":
            self._cancel(message)
            return
        else:
            task = self._spawn(self._forward_notification(message, self._handshake_for(message)))
        if message.method in _HANDSHAKE:
            self._handshake = task

    def _handshake_for(self, message: Message) -> asyncio.Task[None] | None:
        """The task that has to end before this message may be sent."""
        waits = message.envelope_version is None and self._handshake is not None and not self._handshake.done()
        return self._handshake if waits else None

    async def _answer(self, message: Message, request_id: JsonRpcId, handshake: asyncio.Task[None] | None) -> None:
        try:
            if handshake:
                await asyncio.wait((handshake,))
            await self._retry_while_down(message)
        except RequestFailed as error:
            self._log_once(str(error))
            await self._output.write(error_line(request_id, INTERNAL_ERROR, str(error)))
        except Exception:
            logger.exception("%s failed unexpectedly", message.method)
            text = "Internal error in the bridge; see its log. The request may have been carried out."
            await self._output.write(error_line(request_id, INTERNAL_ERROR, text))
        finally:
            self._forget(message)

    def _forget(self, message: Message) -> None:
        """Drop a request from the pending ones: it can no longer be cancelled, and its id may be used again."""
        key = None if message.id is None else _key(message.id)
        if key in self._pending and self._pending[key].message is message:
            del self._pending[key]

    async def _retry_while_down(self, message: Message) -> None:
        """Send a request. A client's first request is repeated while the remote is down, up to the startup wait."""
        clock = asyncio.get_running_loop().time
        last_attempt = clock() + (self._startup_wait if message.method in _FIRST_REQUESTS else 0)
        pause = 0.1
        while True:
            try:
                return await self._remote.request(message)
            except RequestFailed as error:
                if not error.retryable or clock() + pause > last_attempt:
                    raise
                self._log_once(f"{error} Waiting for it.")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 1.0)

    async def _forward_notification(self, message: Message, handshake: asyncio.Task[None] | None) -> None:
        if handshake:
            await asyncio.wait((handshake,))
        try:
            await self._remote.notify(message)
        except RequestFailed as error:
            self._log_once(f"{message.method or 'an answer'} was not taken: {error}")

    def _cancel(self, message: Message) -> None:
        """Cancel a request in all the ways that a remote may understand.

        The 2026 era uses the closed stream, and a stateless remote of 2025 notices it too. A stateful remote of 2025
        needs the notification. A request that is over needs neither: some clients cancel after every response.
        """
        request_id = usable_id(message.params.get("requestId"))
        pending = None if request_id is None else self._pending.get(_key(request_id))
        if pending is None:
            return
        pending.task.cancel()
        if pending.message.envelope_version is None:
            self._spawn(self._forward_notification(message, self._handshake_for(message)))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _log_once(self, text: str) -> None:
        """Log `text` unless it was the last one: a remote that is down for an hour must not fill an unread stderr."""
        if text != self._last_logged:
            self._last_logged = text
            logger.warning("%s", text)


def _key(request_id: JsonRpcId) -> _RequestKey:
    """A key that keeps 1, 1.0 and "1" apart, which are three ids in JSON. In Python the first two are equal."""
    return type(request_id), request_id
