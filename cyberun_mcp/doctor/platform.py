"""Checks the key, whether the platform accepts it in a request, and the difference between the two clocks."""

import stat
import sys
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2

from cyberun_mcp.api.connections import ALWAYS_SENT, platform_connections, timeouts
from cyberun_mcp.api.credentials import WHERE_KEYS_COME_FROM, Credential, credential_from
from cyberun_mcp.api.responses import error_from, parse_json, read_bounded
from cyberun_mcp.api.transport_errors import transport_errors
from cyberun_mcp.doctor.findings import Finding, error, ok, warning
from cyberun_mcp.errors import ConfigurationError, ResponseTooLarge, Unreachable
from cyberun_mcp.settings import Settings

MIN_KEY_LENGTH = 20  # in characters; all keys that we have seen have more than thirty
CLOCK_WARNING = 60  # in seconds; with a larger difference the `expires_at` of a link is misleading
CLOCK_ERROR = 900  # in seconds; with a larger difference S3 refuses signed requests

_KEY_KINDS = {"sk-": "integration key", "dk-": "device key", "eyJ": "user's JWT"}
_REMEDIES = {
    401: f"The key is dead or of another platform: create one at {WHERE_KEYS_COME_FROM}.",
    403: "The key may not read workflows: ask the team's owner for another role.",
    404: "There is no Cyberun API at this address: check CYBERUN_BASE_URL.",
    429: "Wait a minute and try again.",
}


def check_key(settings: Settings) -> tuple[Finding, Credential | None]:
    """A finding about the kind and the length of the key, and the credential if the key can be used."""
    try:
        credential = credential_from(settings.api_key, settings.team_id)
    except ConfigurationError as failure:
        problem, _, remedy = str(failure).partition(". ")
        return error("key", f"{problem}.", remedy or f"Get a key at {WHERE_KEYS_COME_FROM}."), None
    kind = next(name for prefix, name in _KEY_KINDS.items() if credential.key.startswith(prefix))
    length = len(credential.key)
    if length < MIN_KEY_LENGTH:
        remedy = f"Copy it again, whole; or create another at {WHERE_KEYS_COME_FROM}."
        return error("key", f"{kind} of {length} characters, too short to be whole", remedy), credential
    text = f"{kind} ({credential.key[:3]}…), {length} characters"
    if credential.key.startswith("dk-"):
        remedy = f"For AI clients an integration key is meant: {WHERE_KEYS_COME_FROM}."
        return warning("key", text, remedy), credential
    return ok("key", text), credential


def check_key_file(file: Path | None) -> list[Finding]:
    """Whether other users can read the file of the key. Empty if there is no such file."""
    if file is None or sys.platform == "win32":
        return []
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        return [warning("key file", f"other users of this machine can read {file}", f"chmod 600 {file}")]
    return [ok("key file", f"{file}, readable by its owner alone")]


async def check_platform(
    settings: Settings, credential: Credential, transport: httpx2.AsyncBaseTransport | None = None
) -> list[Finding]:
    """Send `GET /r/workflows`; findings about the response, and about this machine's clock."""
    connections = platform_connections(settings, transport)
    request = httpx2.Request(
        "GET",
        f"{settings.base_url}/r/workflows?per_page=1",
        headers={**ALWAYS_SENT, **credential.headers},
        extensions={"timeout": timeouts(settings, read=settings.request_timeout)},
    )
    started = time.perf_counter()
    try:
        with transport_errors():
            async with connections.calls.send(request) as response:
                body = await read_bounded(response)
    except (Unreachable, ResponseTooLarge) as failure:
        return [error("platform", str(failure), failure.advice)]
    finally:
        await connections.aclose()
    seconds = time.perf_counter() - started
    return [_check_response(response, body, seconds), *_check_clock(response.headers.get("date"))]


def _check_response(response: httpx2.Response, body: bytes, seconds: float) -> Finding:
    if not response.is_success:
        remedy = _REMEDIES.get(response.status_code, "The platform has trouble; try again later.")
        return error("platform", str(error_from(response, body)), remedy)
    document = parse_json(body)
    if isinstance(document, dict) and document.get("error_message") and not document.get("workflow_list"):
        return error("platform", str(error_from(response, body)), "Resolve what the platform names, then try again.")
    if not isinstance(document, dict) or not isinstance(document.get("workflow_list"), list):
        return error("platform", "what answers is not the Cyberun API", _REMEDIES[404])
    meta = document.get("page_meta")
    count = meta.get("total_count") if isinstance(meta, dict) else None
    number = count if count is not None else "some"
    return ok("platform", f"GET /r/workflows: {number} workflows, {seconds * 1000:.0f} ms")


def _check_clock(date: str | None) -> list[Finding]:
    """Compare the `Date` header of the platform with this machine's clock."""
    if date is None:
        return []
    try:
        behind = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return []
    text = f"{abs(behind):.0f} s {'behind' if behind > 0 else 'ahead of'} the platform's"
    remedy = (
        "Set this machine's clock by network time: links to files are signed for a time, and it will misjudge them."
    )
    if abs(behind) > CLOCK_ERROR:
        return [error("clock", text, remedy)]
    if abs(behind) > CLOCK_WARNING:
        return [warning("clock", text, remedy)]
    return [ok("clock", "agrees with the platform's")]
