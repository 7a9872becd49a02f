"""The exceptions of the bridge. The tree in `cyberun_mcp.errors` lists them beside all others.

    BridgeError
    ├── RequestFailed            the client gets no response to its message; the text says why and what to do
    │   └── RemoteUnreachable    there is no connection; nothing was sent
    ├── ConnectionLost           the connection ended before the response did
    ├── InvalidResponse          the response breaks HTTP or MCP
    ├── SessionExpired           the remote does not know the session; the request was not carried out
    └── InvalidMessage           a line from the client is not a JSON-RPC message

`connection_pool` turns ConnectionLost and InvalidResponse into RequestFailed. `remote_client` handles SessionExpired.
"""

from collections.abc import Sequence

from cyberun_mcp.errors import CyberunError


class BridgeError(CyberunError):
    """Base of every exception that the bridge raises on purpose."""


class RequestFailed(BridgeError):
    """A message could not be sent, or its response was lost. `error_texts` has the texts.

    `retryable` is True when sending the message again does no harm and may succeed in a moment.
    """

    def __init__(self, text: str, *, retryable: bool = False) -> None:
        super().__init__(text)
        self.retryable = retryable


class RemoteUnreachable(RequestFailed):
    """There is no connection to the remote; nothing was sent."""

    def __init__(self, text: str) -> None:
        super().__init__(text, retryable=True)


class ConnectionLost(BridgeError):
    """The connection ended before the response did; the text is the reason."""


class InvalidResponse(BridgeError):
    """The response is not HTTP, or not of a kind that the bridge accepts; the text says what is wrong with it."""


class SessionExpired(BridgeError):
    """The remote answered 404 to a request with a session id, so it did not carry the request out."""

    def __init__(self) -> None:
        super().__init__("the remote does not know this session")


class InvalidMessage(BridgeError):
    """A line from the client is not a JSON-RPC message.

    `code` is the JSON-RPC error code. `ids` are the ids to answer with; None stands for a line without a usable id.
    """

    def __init__(self, code: int, text: str, ids: Sequence[int | float | str | None] = (None,)) -> None:
        super().__init__(text)
        self.code = code
        self.ids = ids
