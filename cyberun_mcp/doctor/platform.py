"""One cheap question to the platform, and what its answer says about the clocks."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from cyberun_mcp.api.connections import ALWAYS_SENT, platform_connections, timeouts
from cyberun_mcp.api.credentials import WHERE_KEYS_COME_FROM, Credential
from cyberun_mcp.api.responses import error_from, parse_json, read_bounded
from cyberun_mcp.api.transport_errors import transport_errors
from cyberun_mcp.doctor.findings import Finding, error, ok, warning
from cyberun_mcp.errors import ResponseTooLarge, Unreachable
from cyberun_mcp.settings import Settings

NOTICEABLE = 60  # seconds; from here on a link's expires_at misleads
FATAL = 900  # seconds; S3 refuses requests whose signature is so far off

_REMEDIES = {
    401: f"The key is dead or of another platform: create one at {WHERE_KEYS_COME_FROM}.",
    403: "The key may not read workflows: ask the team's owner for another role.",
    404: "There is no Cyberun API at this address: check CYBERUN_BASE_URL.",
    429: "Wait a minute and try again.",
}


async def check_platform(
    settings: Settings, credential: Credential, transport: httpx2.AsyncBaseTransport | None = None
) -> list[Finding]:
    """Whether `GET /r/workflows` answers, and how far this machine's clock is from the platform's."""
    connections = platform_connections(settings, transport)
    request = httpx2.Request(
        "GET",
        f"{settings.base_url}/r/workflows?per_page=1",
        headers={**ALWAYS_SENT, **credential.headers},
        extensions={"timeout": timeouts(settings, read=settings.request_timeout)},
    )
    began = time.perf_counter()
    try:
        with transport_errors():
            async with connections.calls.send(request) as answer:
                body = await read_bounded(answer)
    except (Unreachable, ResponseTooLarge) as failure:
        return [error("platform", str(failure), failure.advice)]
    finally:
        await connections.aclose()
    return [_answered(answer, body, time.perf_counter() - began), *_clock(answer.headers.get("date"))]


def _answered(answer: httpx2.Response, body: bytes, seconds: float) -> Finding:
    if not answer.is_success:
        todo = _REMEDIES.get(answer.status_code, "The platform has trouble; try again later.")
        return error("platform", str(error_from(answer, body)), todo)
    said = parse_json(body)
    if isinstance(said, dict) and said.get("error_message") and not said.get("workflow_list"):
        return error("platform", str(error_from(answer, body)), "Resolve what the platform names, then try again.")
    if not isinstance(said, dict) or not isinstance(said.get("workflow_list"), list):
        return error("platform", "what answers is not the Cyberun API", _REMEDIES[404])
    meta = said.get("page_meta")
    count = meta.get("total_count") if isinstance(meta, dict) else None
    number = count if count is not None else "some"
    return ok("platform", f"GET /r/workflows: {number} workflows, {seconds * 1000:.0f} ms")


def _clock(date: str | None) -> list[Finding]:
    if date is None:
        return []
    try:
        behind = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return []
    text = f"{abs(behind):.0f} s {'behind' if behind > 0 else 'ahead of'} the platform's"
    todo = "Set this machine's clock by network time: links to files are signed for a time, and it will misjudge them."
    if abs(behind) > FATAL:
        return [error("clock", text, todo)]
    return [warning("clock", text, todo) if abs(behind) > NOTICEABLE else ok("clock", "agrees with the platform's")]
