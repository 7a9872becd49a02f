"""The HTTP headers that each protocol era requires, so that a gateway can route a request without parsing its body."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cyberun_mcp.bridge.jsonrpc import Message

# 2026-07-28, Streamable HTTP: the methods whose target goes into Mcp-Name, and the parameter that holds it.
_NAME_PARAMETERS = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN = r"(?! )[\x20-\x7e]*(?<! )"
_ENCODED = r"=\?base64\?.*\?="
_HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # `token` of RFC 9110

ArgumentPath = tuple[str, ...]


def envelope_headers(message: Message, version: str) -> dict[str, str]:
    """The headers of a message of the 2026 era, which carries its protocol version and method in itself."""
    headers = {"MCP-Protocol-Version": encode_value(version), "Mcp-Method": encode_value(message.method)}
    name = message.params.get(_NAME_PARAMETERS.get(message.method, ""))
    if isinstance(name, str):
        headers["Mcp-Name"] = encode_value(name)
    return headers


def session_headers(version: str | None, session_id: str | None) -> dict[str, str]:
    """The headers of a message of the earlier eras: what `initialize` agreed on, as far as it is known."""
    headers = {}
    if version:
        headers["MCP-Protocol-Version"] = encode_value(version)
    if session_id:
        headers["Mcp-Session-Id"] = session_id
    return headers


class ParameterHeaders:
    """Tool arguments that must also be sent as headers: `x-mcp-header` in a schema (2026-07-28, Streamable HTTP).

    A client on stdio does not handle these headers. The bridge learns them from the `tools/list` results it forwards.
    """

    def __init__(self) -> None:
        self._tools: dict[str, list[tuple[ArgumentPath, str]]] = {}

    def learn(self, result: dict[str, Any]) -> None:
        """Store the header names of the tools in one page of `tools/list`."""
        tools = result.get("tools")
        for tool in tools if isinstance(tools, list) else []:
            if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                self._tools[tool["name"]] = list(_annotated_properties(tool.get("inputSchema"), ()))

    def headers(self, params: dict[str, Any]) -> dict[str, str]:
        """The `Mcp-Param-…` headers of a `tools/call` with these params."""
        name = params.get("name")
        values = (
            (header, _argument_value(params.get("arguments"), path))
            for path, header in self._tools.get(name if isinstance(name, str) else "", ())
        )
        return {f"Mcp-Param-{header}": value for header, value in values if value is not None}


def encode_value(value: str) -> str:
    """`value` if a header can carry it unchanged, else the specification's Base64 form of it."""
    if re.fullmatch(_PLAIN, value) and not re.fullmatch(_ENCODED, value):
        return value
    from base64 import b64encode

    return f"=?base64?{b64encode(value.encode('utf-8', 'surrogatepass')).decode('ascii')}?="


def field_lines(headers: Mapping[str, str]) -> str:
    """The headers as lines of an HTTP request."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _annotated_properties(schema: Any, path: ArgumentPath) -> Iterator[tuple[ArgumentPath, str]]:
    """The properties with `x-mcp-header`, in the schema itself and in the objects inside it."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, subschema in properties.items() if isinstance(properties, dict) else ():
        header = subschema.get("x-mcp-header") if isinstance(subschema, dict) else None
        if isinstance(header, str) and re.fullmatch(_HEADER_NAME, header):
            yield (*path, name), header
        yield from _annotated_properties(subschema, (*path, name))


def _argument_value(arguments: Any, path: ArgumentPath) -> str | None:
    """The argument at `path` as a header value; None if it is missing or has a type that no header can carry."""
    for name in path:
        arguments = arguments.get(name) if isinstance(arguments, dict) else None
    if isinstance(arguments, bool):
        return "true" if arguments else "false"
    return encode_value(str(arguments)) if isinstance(arguments, str | int | float) else None
