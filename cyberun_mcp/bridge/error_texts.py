"""The texts that the client reads when a request to the remote fails.

The first sentence says what happened, the rest says what to do. After a lost response the most important question is
whether the call may have been carried out: if so, neither the bridge nor the reader should simply send it again.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from cyberun_mcp.bridge.configured_headers import KEY_VARIABLE
from cyberun_mcp.bridge.errors import RemoteUnreachable, RequestFailed
from cyberun_mcp.bridge.jsonrpc import REPEATABLE_METHODS
from cyberun_mcp.bridge.remote_settings import RemoteSettings

_KEYS_PAGE = "https://app.cyberun.cloud → Access → Integration"
_MAX_QUOTE = 300  # characters of a remote's own text
_TITLE = r"(?is)<title[^>]*>\s*(.*?)\s*</title>"


def remote_unreachable(remote: RemoteSettings, reason: str) -> RemoteUnreachable:
    """There is no connection; nothing was sent."""
    return RemoteUnreachable(
        remote.redact(
            f"{remote.display_url} cannot be reached: {reason}. Nothing was sent. Check that the server runs, the URL, "
            "the network and HTTPS_PROXY, then try again; the bridge needs no restart."
        )
    )


def response_lost(remote: RemoteSettings, method: str, reason: str) -> RequestFailed:
    """The message was sent, and the connection ended without a usable response."""
    text = f"{remote.display_url} did not finish its answer: {reason}. {_whether_it_ran(method)}"
    return RequestFailed(remote.redact(text), retryable=method in REPEATABLE_METHODS)


def not_mcp(remote: RemoteSettings, media_type: str, body: bytes) -> RequestFailed:
    """The status is a success, but the body is not MCP."""
    found = f"HTTP 2xx with {_summary(media_type, body)}"
    advice = "Check the URL; a login page or a proxy may stand in between."
    return RequestFailed(remote.redact(f"{remote.display_url} did not answer with MCP ({found}). {advice}"))


def http_error(
    remote: RemoteSettings, method: str, status: int, headers: Mapping[str, str], body: bytes
) -> RequestFailed:
    """An HTTP error from the remote, or from a gateway in front of it."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    summary = _summary(media_type, body)
    answered = f"{remote.display_url} answered HTTP {status}{f': {summary}' if summary else ''}"
    text = f"{answered}. {_advice(remote, method, status, headers)}"
    return RequestFailed(remote.redact(text), retryable=status in (502, 503, 504) and method in REPEATABLE_METHODS)


def session_lost_again(remote: RemoteSettings) -> RequestFailed:
    """The remote does not know a session that it has just opened."""
    return RequestFailed(
        f"{remote.display_url} lost this session, and lost the new one at once. The request was not carried out. "
        "Several replicas without sticky sessions look like this; try again, or reconnect this server in your client."
    )


def _advice(remote: RemoteSettings, method: str, status: int, headers: Mapping[str, str]) -> str:
    match status:
        case 401:
            return _key_advice(remote.headers.credential_source)
        case 403:
            return (
                "Do not retry: the key lacks permission, belongs to another team, or something in front of the server "
                "forbids this. Ask the user to check the role and scope of their key."
            )
        case 404 | 405:
            return "There is no MCP endpoint at this URL; check its path (for cyberun-mcp http it ends in /mcp)."
        case 408:
            return f"It, or something in front of it, did not wait for all of the message. {_whether_it_ran(method)}"
        case 413:
            return "The message is too large for the remote: send less, or a file by presign_file_upload."
        case 429:
            after = headers.get("retry-after", "")
            return f"Too many requests: wait {f'{after} seconds' if after.isdecimal() else 'a minute'}, then try again."
        case _ if 300 <= status < 400:
            place = headers.get("location", "").partition("?")[0] or "another place"
            return f"It points to {place}; redirects are not followed, because your key would travel along."
        case _ if status >= 500:
            return f"The remote is in trouble. {_whether_it_ran(method)}"
    return "The same request would fail the same way."


def _key_advice(source: str | None) -> str:
    ask = f"Ask the user for a key ({_KEYS_PAGE})"
    if source is None:
        return (
            f"No key was sent. {ask}, to be set as {KEY_VARIABLE} in this client's configuration, "
            "and to restart the client."
        )
    if source == KEY_VARIABLE:
        return (
            f"Do not retry: the key in {KEY_VARIABLE} is invalid, revoked or expired. "
            f"{ask}, to set {KEY_VARIABLE} to it and restart."
        )
    return f"Do not retry: the credential from {source} is invalid, revoked or expired. Correct it there and restart."


def _whether_it_ran(method: str) -> str:
    if method in REPEATABLE_METHODS:
        return "Nothing was changed by it; try again."
    if method == "tools/call":
        return "The call may have been carried out; check list_tasks before calling again."
    return "It may have been carried out; make sure before sending it again."


def _summary(media_type: str, body: bytes) -> str:
    """A body in at most one line: the message of an error, the title of a page, or the start of a text."""
    text = body.decode("utf-8", "replace").strip()
    if media_type == "text/html" or text[:1] == "<":
        title = re.search(_TITLE, text)
        return f"an HTML page ({' '.join(title[1].split())[:_MAX_QUOTE]})" if title else "an HTML page"
    try:
        summary = _error_message(json.loads(text)) if text else ""
    except (ValueError, RecursionError):
        summary = text
    return " ".join(summary.split())[:_MAX_QUOTE].rstrip(".") or media_type


def _error_message(body: Any) -> str:
    """The message in the usual error bodies: JSON-RPC, OAuth, RFC 9457, and the Cyberun platform's own."""
    if not isinstance(body, dict):
        return ""
    for name in ("error_description", "error_message", "message", "detail", "error"):
        value = body.get(name)
        if isinstance(value, dict):
            return _error_message(value)
        if isinstance(value, str):
            return value
    return ""
