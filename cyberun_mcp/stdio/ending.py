"""How a connection over stdio ends, so that what has been asked is answered where that is possible.

    end of input ──► waits answer, the other calls get CALLS seconds ──┐
    a signal, or the client has gone ──► sent runs get RUNS seconds, ──┴──► open runs are reported as unknown,
                                         all else is cancelled               the last answers are written, the end

The SDK's dispatcher cancels every call as soon as its input ends. So the end of input is held back meanwhile.
"""

from collections import Counter
from collections.abc import Callable

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId

from cyberun_mcp.sdk_engine import (
    SessionMessage,
    cancelled_request_id_from_params,
    coerce_request_id,
)
from cyberun_mcp.stdio.streams import PARTING
from cyberun_mcp.tools.in_flight_calls import CallsInFlight

CALLS = 5.0  # seconds for calls at the end of input
RUNS = 2.0  # seconds for sent runs after a signal; clients kill what is still there some seconds later


class Ending:
    """Watches one connection from its beginning. `stop` ends its input, `hurry` has the output end soon."""

    def __init__(
        self, in_flight: CallsInFlight, stop: Callable[[], None], hurry: Callable[[], None] = lambda: None
    ) -> None:
        self._in_flight = in_flight
        self._stop = stop
        self._hurry = hurry
        self._unanswered = Counter[RequestId]()
        self._answered = anyio.Event()
        self._waiting_for_calls = anyio.CancelScope()
        self._soon = False

    def soon(self) -> None:
        """End now, but for the runs that have been sent: a signal came, or the client is gone."""
        self._soon = True
        self._stop()
        self._waiting_for_calls.cancel()

    def reading(
        self, stream: ObjectReceiveStream[SessionMessage | Exception]
    ) -> ObjectReceiveStream[SessionMessage | Exception]:
        """The same messages; their end comes when all has been done that can be done."""
        return _Reading(stream, self)

    def writing(self, stream: ObjectSendStream[SessionMessage]) -> ObjectSendStream[SessionMessage]:
        """The same stream, whose answers are noted here."""
        return _Writing(stream, self)

    def note_read(self, item: SessionMessage | Exception) -> None:
        """A message from the client is about to be dispatched."""
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, JSONRPCRequest):
            self._unanswered[coerce_request_id(message.id)] += 1
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._settle(cancelled_request_id_from_params(message.params))

    def note_written(self, item: SessionMessage) -> None:
        """A message to the client has been written, or nobody can write it any more."""
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self._settle(item.message.id)

    async def finish(self) -> None:
        """Let what is running come to its end, in the order and the time that the docstring above tells."""
        if not self._soon:
            self._in_flight.end_waits()
            with anyio.move_on_after(CALLS) as self._waiting_for_calls:
                await self._all_answered()
        if self._soon:
            self._in_flight.cancel_all_but_sent_runs()
            with anyio.move_on_after(RUNS):
                await self._in_flight.sent_runs_to_end()
        self._in_flight.give_up_runs()
        self._hurry()
        with anyio.move_on_after(PARTING):
            await self._all_answered()

    async def _all_answered(self) -> None:
        while self._unanswered:
            self._answered = anyio.Event()
            await self._answered.wait()

    def _settle(self, request_id: RequestId | None) -> None:
        """One request of this id is answered, or never will be."""
        if request_id is not None:
            key = coerce_request_id(request_id)
            self._unanswered[key] -= 1
            if self._unanswered[key] <= 0:
                del self._unanswered[key]
            self._answered.set()


class _Reading(ObjectReceiveStream[SessionMessage | Exception]):
    def __init__(self, stream: ObjectReceiveStream[SessionMessage | Exception], ending: Ending) -> None:
        self._stream = stream
        self._ending = ending

    async def receive(self) -> SessionMessage | Exception:
        try:
            item = await self._stream.receive()
        except anyio.EndOfStream:
            await self._ending.finish()
            raise
        self._ending.note_read(item)
        return item

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Writing(ObjectSendStream[SessionMessage]):
    def __init__(self, stream: ObjectSendStream[SessionMessage], ending: Ending) -> None:
        self._stream = stream
        self._ending = ending

    async def send(self, item: SessionMessage) -> None:
        try:
            await self._stream.send(item)
        finally:
            self._ending.note_written(item)

    async def aclose(self) -> None:
        await self._stream.aclose()
