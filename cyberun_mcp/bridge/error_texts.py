"""What can go wrong between bridge and remote, and the words the client reads about it.

The first sentence says what happened, the rest what to do. The one question that matters after a lost answer is whether
the call may have run: then nobody, neither the bridge nor the reader, should simply send it again.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from cyberun_mcp.bridge.credentials import KEY
from cyberun_mcp.bridge.endpoint import Endpoint
from cyberun_mcp.errors import CyberunError

# Methods that change nothing; every other one, known or not, may have had its effect when its answer is lost.
HARMLESS = frozenset(
    {
        "completion/complete",
        "initialize",
        "logging/setLevel",
        "notifications/cancelled",
        "notifications/initialized",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
        "server/discover",
        "subscriptions/listen",
        "tools/list",
    }
)
_KEYS = "https://app.cyberun.cloud → Access → Integration"
_QUOTED = 300  # characters of a remote's own words
_TITLE = r"(?is)<title[^>]*>\s*(.*?)\s*</title>"


class Trouble(CyberunError):
    """A message could not be carried, or its answer not brought back. `passing`: the remote may be back in a moment."""

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


class Unreachable(Trouble):
    """There is no connection; nothing was sent."""


def unreachable(endpoint: Endpoint, why: str) -> Unreachable:
    """No connection: nothing was sent."""
    return Unreachable(
        endpoint.redact(
            f"{endpoint.shown} cannot be reached: {why}. Nothing was sent. Check that the server runs, the URL, the "
            "network and HTTPS_PROXY, then try again; the bridge needs no restart."
        ),
        passing=True,
    )


def answer_lost(endpoint: Endpoint, method: str, why: str) -> Trouble:
    """The message was sent, and the connection ended without the answer."""
    what = f"{endpoint.shown} did not finish its answer: {why}."
    return Trouble(endpoint.redact(f"{what} {_whether_it_ran(method)}"), passing=method in HARMLESS)


def no_mcp(endpoint: Endpoint, media_type: str, body: bytes) -> Trouble:
    """A success, but of something that does not speak MCP."""
    found = f"HTTP 2xx with {_described(media_type, body)}"
    advice = "Check the URL; a login page or a proxy may stand in between."
    return Trouble(endpoint.redact(f"{endpoint.shown} did not answer with MCP ({found}). {advice}"))


def refused(endpoint: Endpoint, method: str, status: int, headers: Mapping[str, str], body: bytes) -> Trouble:
    """An HTTP error of the remote, or of something in front of it."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    said = _described(media_type, body)
    happened = f"{endpoint.shown} answered HTTP {status}{f': {said}' if said else ''}"
    advice = _advice(endpoint, method, status, headers)
    return Trouble(endpoint.redact(f"{happened}. {advice}"), passing=status in (502, 503, 504) and method in HARMLESS)


def session_gone(endpoint: Endpoint) -> Trouble:
    """The remote forgets the session as soon as it is opened."""
    return Trouble(
        f"{endpoint.shown} lost this session, and lost the new one at once. The request was not carried out. "
        "Several replicas without sticky sessions look like this; try again, or reconnect this server in your client."
    )


def _advice(endpoint: Endpoint, method: str, status: int, headers: Mapping[str, str]) -> str:
    match status:
        case 401:
            return _about_the_key(endpoint.credentials.source)
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


def _about_the_key(source: str | None) -> str:
    ask = f"Ask the user for a key ({_KEYS})"
    if source is None:
        return f"No key was sent. {ask}, to be set as {KEY} in this client's configuration, and to restart the client."
    if source == KEY:
        return f"Do not retry: the key in {KEY} is invalid, revoked or expired. {ask}, to set {KEY} to it and restart."
    return f"Do not retry: the credential from {source} is invalid, revoked or expired. Correct it there and restart."


def _whether_it_ran(method: str) -> str:
    if method in HARMLESS:
        return "Nothing was changed by it; try again."
    if method == "tools/call":
        return "The call may have been carried out; check list_tasks before calling again."
    return "It may have been carried out; make sure before sending it again."


def _described(media_type: str, body: bytes) -> str:
    """What a body says, in at most a line: an error's own message, a page's title, or the beginning of a text."""
    text = body.decode("utf-8", "replace").strip()
    if media_type == "text/html" or text[:1] == "<":
        title = re.search(_TITLE, text)
        return f"an HTML page ({' '.join(title[1].split())[:_QUOTED]})" if title else "an HTML page"
    try:
        said = _message_in(json.loads(text)) if text else ""
    except (ValueError, RecursionError):
        said = text
    return " ".join(said.split())[:_QUOTED].rstrip(".") or media_type


def _message_in(body: Any) -> str:
    """The words of the usual error bodies: JSON-RPC's, OAuth's, RFC 9457's, the Cyberun platform's."""
    if not isinstance(body, dict):
        return ""
    for name in ("error_description", "error_message", "message", "detail", "error"):
        found = body.get(name)
        if isinstance(found, dict):
            return _message_in(found)
        if isinstance(found, str):
            return found
    return ""
