"""Single requests as clients of either era send them, without an SDK in between that would hide a lost answer."""

import itertools
import json
from typing import Any

import httpx2

KEY = "sk-canary0123456789abcdef"
_VERSIONS = {"legacy": "2025-11-25", "auto": "2026-07-28"}
_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_numbers = itertools.count(1)


class NoAnswer(Exception):
    """The connection ended before the answer had come."""


def request(
    era: str, tool: str, arguments: dict[str, Any] | None = None, key: str = KEY, **meta: Any
) -> dict[str, Any]:
    """The arguments of `AsyncClient.post` for one `tools/call`."""
    headers = {
        "Authorization": f"Bearer {key}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": _VERSIONS[era],
    }
    if era == "auto":
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
        meta |= _ENVELOPE
    params = {"name": tool, "arguments": arguments or {}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": next(_numbers), "method": "tools/call", "params": params}
    return {"json": body, "headers": headers}


async def call(
    client: httpx2.AsyncClient, era: str, tool: str, arguments: dict[str, Any] | None = None, **meta: Any
) -> dict[str, Any]:
    """The result of one tool call. Raises NoAnswer, or AssertionError for a JSON-RPC error."""
    answer = await client.post("/mcp", **request(era, tool, arguments, **meta))
    message = messages_of(answer)[-1]
    assert "result" in message, (answer.status_code, message)
    result: dict[str, Any] = message["result"]
    return result


def messages_of(answer: httpx2.Response) -> list[dict[str, Any]]:
    """The JSON-RPC messages of an answer, be it JSON or an event stream; the last one is the reply."""
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        lines = [line.removeprefix("data:") for line in answer.text.splitlines() if line.startswith("data:")]
        messages = [json.loads(line) for line in lines if line.strip()]
    else:
        messages = [answer.json()] if answer.text.startswith("{") else []
    if not messages or "method" in messages[-1]:
        raise NoAnswer(f"HTTP {answer.status_code}: {answer.text[:200]!r}")
    return messages
