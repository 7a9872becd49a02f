"""From the client's lines to the remote and back: any number of calls at once, each answered exactly once or cancelled.

Messages of the 2025 eras wait for `initialize` and `notifications/initialized` to be through, because what those settle
stands in every header after them. Messages of the 2026 era wait for nothing.

A request whose id is in use by a call in flight is not sent. Its error carries no id, so that whatever carries the id
is the answer to the call.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from typing import NamedTuple

from cyberun_mcp.bridge.endpoint import Endpoint
from cyberun_mcp.bridge.exchange import Exchange
from cyberun_mcp.bridge.messages import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    Id,
    Malformed,
    Message,
    error_line,
    parse,
    usable_id,
)
from cyberun_mcp.bridge.runs import unanswered, unknown_line, workflow_of
from cyberun_mcp.bridge.stdio import Lines, Output
from cyberun_mcp.bridge.trouble import Trouble

PATIENCE = 10.0  # seconds a client's first question waits for a remote that is down; clients give up after 30
_AWAITED = ("initialize", "server/discover")
_HANDSHAKE = ("initialize", "notifications/initialized")
_SHOWN = 100  # characters of an id that is in use already
_CALLS_WHILE_BLOCKED = 256  # a client that writes a burst before it reads is served; one that never reads is stopped

_Key = tuple[type, Id]

logger = logging.getLogger(__name__)


class Call(NamedTuple):
    """A request in flight."""

    message: Message
    task: asyncio.Task[None]


class Relay:
    """The calls of one client."""

    def __init__(self, endpoint: Endpoint, output: Output, patience: float) -> None:
        self._output = output
        self._patience = patience
        self._exchange = Exchange(endpoint, output.write, self._answered)
        self._calls: dict[_Key, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._handshake: asyncio.Task[None] | None = None
        self._last_said = ""

    async def run(self, lines: Lines) -> None:
        """Take the client's lines until there are no more; the calls may still be running then."""
        while True:
            try:
                line = await lines.read()
                if not line:
                    return
                self._take(parse(line))
            except Malformed as error:
                for request_id in error.ids:
                    free = None if request_id is None or _key(request_id) in self._calls else request_id
                    await self._output.write(error_line(free, error.code, str(error)))
            if self._output.blocked and len(self._calls) >= _CALLS_WHILE_BLOCKED:
                await self._output.room()

    async def end(self, seconds: float) -> None:
        """Give up every call, and take leave of the remote as far as that is possible in so little time."""
        for call in self._calls.values():
            call.task.cancel()
        if self._exchange.session.id is not None:
            self._spawn(self._exchange.leave())
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def finish_runs(self, seconds: float) -> None:
        """Let the runs in flight be answered; the client is told of those that are not."""
        runs = {call.task: call.message for call in self._calls.values() if workflow_of(call.message) is not None}
        for message in await unanswered(runs, seconds):
            if any(call.message is message for call in self._calls.values()):  # else only its delivery is late
                self._spawn(self._output.write(unknown_line(message)))

    def _take(self, message: Message) -> None:
        if message.is_request and message.id is not None:
            if _key(message.id) in self._calls:
                text = f"Invalid request: the id {json.dumps(message.id)[:_SHOWN]} is in use by a call in flight"
                raise Malformed(INVALID_REQUEST, f"{text}; this {message.method} was not sent", [message.id])
            task = self._spawn(self._answer(message, message.id, self._before(message)))
            self._calls[_key(message.id)] = Call(message, task)
        elif message.method == "notifications/cancelled":
            self._cancel(message)
            return
        else:
            task = self._spawn(self._note(message, self._before(message)))
        if message.method in _HANDSHAKE:
            self._handshake = task

    def _before(self, message: Message) -> asyncio.Task[None] | None:
        """What has to be through before this message may go."""
        waits = message.envelope_version is None and self._handshake is not None and not self._handshake.done()
        return self._handshake if waits else None

    async def _answer(self, message: Message, request_id: Id, before: asyncio.Task[None] | None) -> None:
        try:
            if before:
                await asyncio.wait((before,))
            await self._patiently(message)
        except Trouble as trouble:
            self._say(str(trouble))
            await self._output.write(error_line(request_id, INTERNAL_ERROR, str(trouble)))
        except Exception:
            logger.exception("%s failed unexpectedly", message.method)
            text = "Internal error in the bridge; see its log. The request may have been carried out."
            await self._output.write(error_line(request_id, INTERNAL_ERROR, text))
        finally:
            self._answered(message)

    def _answered(self, message: Message) -> None:
        """From now on a cancellation comes too late, and the id could be used again."""
        key = None if message.id is None else _key(message.id)
        if key in self._calls and self._calls[key].message is message:
            del self._calls[key]

    async def _patiently(self, message: Message) -> None:
        """Send a request; a client's first question is asked again while the remote is down."""
        clock = asyncio.get_running_loop().time
        last_try = clock() + (self._patience if message.method in _AWAITED else 0)
        pause = 0.1
        while True:
            try:
                return await self._exchange.request(message)
            except Trouble as trouble:
                if not trouble.passing or clock() + pause > last_try:
                    raise
                self._say(f"{trouble} Waiting for it.")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 1.0)

    async def _note(self, message: Message, before: asyncio.Task[None] | None) -> None:
        if before:
            await asyncio.wait((before,))
        try:
            await self._exchange.note(message)
        except Trouble as trouble:
            self._say(f"{message.method or 'an answer'} was not taken: {trouble}")

    def _cancel(self, message: Message) -> None:
        """End a call in all the ways a remote may understand.

        Closing the stream is what 2026 asks for, and what a stateless remote of 2025 notices; a stateful one of 2025
        wants the notification. A call that is over needs neither: some clients cancel after every answer.
        """
        request_id = usable_id(message.params.get("requestId"))
        call = None if request_id is None else self._calls.get(_key(request_id))
        if call is None:
            return
        call.task.cancel()
        if call.message.envelope_version is None:
            self._spawn(self._note(message, self._before(message)))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _say(self, text: str) -> None:
        """Log what is new: a remote that is down for an hour is one line, and cannot fill a stderr nobody reads."""
        if text != self._last_said:
            self._last_said = text
            logger.warning("%s", text)


def _key(request_id: Id) -> _Key:
    """In JSON 1, 1.0 and "1" are three ids; Python would take the first two for one."""
    return type(request_id), request_id
