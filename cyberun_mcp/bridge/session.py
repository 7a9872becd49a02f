"""What a remote of the 2025 eras and this client have settled by `initialize`, kept so that it can be settled again."""

from collections.abc import Mapping
from typing import Any

from cyberun_mcp.bridge.headers import session_headers
from cyberun_mcp.bridge.messages import Message

INITIALIZED = Message(b'{"jsonrpc":"2.0","method":"notifications/initialized"}', "notifications/initialized", None, {})

PING = Message(b'{"jsonrpc":"2.0","id":"cyberun-mcp-bridge","method":"ping"}', "ping", "cyberun-mcp-bridge", {})


class Session:
    """One client's standing with the remote; `id` is None with a stateless one."""

    def __init__(self) -> None:
        self.opening: Message | None = None
        self.version: str | None = None
        self.id: str | None = None

    def begin(self, opening: Message) -> None:
        """The client has sent `initialize`: whatever was settled before is over."""
        self.opening, self.version, self.id = opening, None, None

    def settle(self, result: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """The remote has accepted."""
        version = result.get("protocolVersion")
        self.version = version if isinstance(version, str) else None
        self.id = headers.get("mcp-session-id")

    @property
    def must_be_opened(self) -> bool:
        """Whether the client believes in a session that the remote has never heard of: it was down at `initialize`."""
        return self.opening is not None and self.version is None

    def headers(self) -> dict[str, str]:
        """What every message of this session says about it."""
        return session_headers(self.version, self.id)
