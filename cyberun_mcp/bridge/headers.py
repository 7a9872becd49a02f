"""What each protocol era wants to read in the headers of a request, so that a gateway need not open its body."""

import re
from collections.abc import Mapping

from cyberun_mcp.bridge.messages import Message

# 2026-07-28, Streamable HTTP: the methods whose object is mirrored as Mcp-Name, and the member that names it.
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN = r"(?! )[\x20-\x7e]*(?<! )"
_ENCODED = r"=\?base64\?.*\?="


def envelope_headers(message: Message, version: str) -> dict[str, str]:
    """For a message of the 2026 era, which says everything about itself."""
    headers = {"MCP-Protocol-Version": encoded(version), "Mcp-Method": encoded(message.method)}
    name = message.params.get(_NAMED_BY.get(message.method, ""))
    if isinstance(name, str):
        headers["Mcp-Name"] = encoded(name)
    return headers


def session_headers(version: str | None, session: str | None) -> dict[str, str]:
    """For a message of the eras before: what `initialize` settled, as far as it has."""
    headers = {}
    if version:
        headers["MCP-Protocol-Version"] = encoded(version)
    if session:
        headers["Mcp-Session-Id"] = session
    return headers


def encoded(value: str) -> str:
    """`value` if a header can carry it as it is, else in the specification's Base64 form."""
    if re.fullmatch(_PLAIN, value) and not re.fullmatch(_ENCODED, value):
        return value
    from base64 import b64encode

    return f"=?base64?{b64encode(value.encode('utf-8', 'surrogatepass')).decode('ascii')}?="


def field_lines(headers: Mapping[str, str]) -> str:
    """The headers as they stand in a request."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
