"""What a failed connection means for its request: `Unreachable`, and whether any byte may have left this machine."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from cyberun_mcp.errors import Unreachable

# The request provably never left: there was no connection, or it was rejected before the first byte.
_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.LocalProtocolError,
    httpx2.UnsupportedProtocol,
    httpx2.ProxyError,
)


class RequestProgress:
    """Whether bytes of a request may have been sent. `trace` is for the request's `trace` extension."""

    def __init__(self, on_sent: Callable[[], None] = lambda: None) -> None:
        self.sent = False
        self._on_sent = on_sent

    async def trace(self, event: str, _: Mapping[str, Any]) -> None:
        """Called by the connection at each step; sending the headers is the first step that sends bytes."""
        if event.endswith(".send_request_headers.started"):
            self.sent = True
            self._on_sent()


class transport_errors:  # noqa: N801 - reads as a function where it is used
    """A context manager that turns the transport's exceptions into Unreachable."""

    def __init__(self, progress: RequestProgress | None = None) -> None:
        self._progress = progress

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, httpx2.RequestError):
            raise Unreachable(_describe(error), sent=not isinstance(error, _NEVER_SENT)) from error
        if isinstance(error, TimeoutError):
            sent = self._progress is None or self._progress.sent
            raise Unreachable("no answer within the time this call may take", sent=sent) from error


def _describe(error: httpx2.RequestError) -> str:
    kind = type(error).__name__
    return f"{kind}: {error}" if str(error) else kind
