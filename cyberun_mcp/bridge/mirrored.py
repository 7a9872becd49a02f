"""Arguments a tool wants repeated in headers: `x-mcp-header` in its schema (2026-07-28, Streamable HTTP).

A client on stdio knows nothing of headers, so the bridge learns the tools' wishes from the lists that pass by.
"""

import re
from collections.abc import Iterator
from typing import Any

from cyberun_mcp.bridge.headers import encoded

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for what a header name may be

Path = tuple[str, ...]


class Mirrored:
    """Which arguments of which tool belong into which header."""

    def __init__(self) -> None:
        self._tools: dict[str, list[tuple[Path, str]]] = {}

    def learn(self, result: dict[str, Any]) -> None:
        """Take note of a page of `tools/list`."""
        tools = result.get("tools")
        for tool in tools if isinstance(tools, list) else []:
            if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                self._tools[tool["name"]] = list(_wishes(tool.get("inputSchema"), ()))

    def headers(self, params: dict[str, Any]) -> dict[str, str]:
        """The headers of a `tools/call`."""
        name = params.get("name")
        values = (
            (header, _at(params.get("arguments"), path))
            for path, header in self._tools.get(name if isinstance(name, str) else "", ())
        )
        return {f"Mcp-Param-{header}": value for header, value in values if value is not None}


def _wishes(schema: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """The annotated properties, of the schema itself and of the objects in it."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, each in properties.items() if isinstance(properties, dict) else ():
        header = each.get("x-mcp-header") if isinstance(each, dict) else None
        if isinstance(header, str) and re.fullmatch(_TOKEN, header):
            yield (*path, name), header
        yield from _wishes(each, (*path, name))


def _at(arguments: Any, path: Path) -> str | None:
    """The value of an argument as a header carries it; None where there is none, or none a header could carry."""
    for name in path:
        arguments = arguments.get(name) if isinstance(arguments, dict) else None
    if isinstance(arguments, bool):
        return "true" if arguments else "false"
    return encoded(str(arguments)) if isinstance(arguments, str | int | float) else None
