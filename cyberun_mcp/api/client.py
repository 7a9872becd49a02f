"""The Cyberun runtime REST API: one method per endpoint, one set of connections per process."""

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import anyio
import httpx2

from cyberun_mcp.api.answers import JsonObject, error_from, parse_object, read_bounded
from cyberun_mcp.api.connections import ALWAYS_SENT, Journey, Pools, pools, timeouts, transport_errors
from cyberun_mcp.api.credentials import Credential
from cyberun_mcp.api.models import SERVICE_LIST_KEYS
from cyberun_mcp.api.retry import with_retries
from cyberun_mcp.api.throttle import Pace
from cyberun_mcp.errors import InvalidArguments, UnexpectedAnswer
from cyberun_mcp.observability.telemetry import NO_TELEMETRY, Telemetry
from cyberun_mcp.settings import Settings

# Fields of a successful answer. An answer that has an `error_message` and none of these fields is an error.
_WORKFLOW = ("workflow_slug", "parameters")
_TASK = ("task_status",)
_RESULT = ("task_status", "task_output", "download_url", "download_urls")
_SERVICE = ("service_slug", "service_status")
_CONTAINER_ANSWER = ("headers", "body_base64")


class Platform:
    """The connections of one process to the platform, shared by all callers; close it when done.

    `transport` replaces the network, for tests. `pace` is how often its waits read; without one, as events come.
    """

    def __init__(
        self,
        settings: Settings,
        transport: httpx2.AsyncBaseTransport | None = None,
        telemetry: Telemetry = NO_TELEMETRY,
        pace: Pace | None = None,
    ) -> None:
        self.settings = settings
        self._pools = pools(settings, transport, telemetry, pace)

    def client_for(self, credential: Credential, deadline: float) -> "CyberunClient":
        """The API as one caller sees it, until `deadline` (anyio's clock)."""
        return CyberunClient(self.settings, self._pools, credential, deadline)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pools.aclose()


class CyberunClient:
    """One caller's view of the API. Methods raise ApiError, UnexpectedAnswer, Unreachable or InvalidArguments."""

    def __init__(
        self,
        settings: Settings,
        pools: Pools,
        credential: Credential,
        deadline: float,
        on_sent: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.deadline = deadline
        self._on_sent = on_sent
        self.pace = pools.pace
        self.clock = pools.clock
        self._pools = pools
        self._credential = credential

    def until(self, deadline: float, on_sent: Callable[[], None] = lambda: None) -> "CyberunClient":
        """The same view with another deadline (anyio's clock). `on_sent` is called when a request begins to leave."""
        return CyberunClient(self.settings, self._pools, self._credential, deadline, on_sent)

    def waiting_until(self, deadline: float) -> "CyberunClient":
        """The view of a wait: another deadline, and connections that ordinary calls do not need."""
        return CyberunClient(self.settings, replace(self._pools, calls=self._pools.waits), self._credential, deadline)

    def submitted_seconds_ago(self, task_id: str) -> float | None:
        """How long ago this caller submitted a task through this process; None when it did not, or too long ago."""
        return self._pools.submissions.seconds_ago(self._credential, task_id)

    async def list_workflows(self, page: Mapping[str, Any]) -> JsonObject:
        return await self._request("GET", "/r/workflows", carries=["workflow_list"], query=page)

    async def get_workflow(self, workflow_id: str) -> JsonObject:
        return await self._request("GET", f"/r/workflows/{_segment(workflow_id)}", carries=_WORKFLOW)

    async def get_workflow_by_slug(self, workflow_slug: str) -> JsonObject:
        return await self._request("GET", f"/r/workflows/slug/{_segment(workflow_slug)}", carries=_WORKFLOW)

    async def run_workflow(self, workflow_id: str, run: Mapping[str, Any]) -> JsonObject:
        return await self._run(f"/r/workflows/{_segment(workflow_id)}/run", run)

    async def run_workflow_by_slug(self, workflow_slug: str, run: Mapping[str, Any]) -> JsonObject:
        return await self._run(f"/r/workflows/slug/{_segment(workflow_slug)}/run", run)

    async def list_tasks(self, page: Mapping[str, Any]) -> JsonObject:
        return await self._request("GET", "/r/tasks", carries=["task_list"], query=page)

    async def get_task(self, task_id: str) -> JsonObject:
        return await self._request("GET", f"/r/tasks/{_segment(task_id)}", carries=_TASK)

    async def ask_once_for_task(self, task_id: str) -> JsonObject:
        """`get_task` in a single attempt, for a caller that has its own idea of what to do next."""
        return await self._send("GET", f"/r/tasks/{_segment(task_id)}", carries=_TASK)

    async def get_task_result(self, task_id: str) -> JsonObject:
        return await self._request("GET", f"/r/tasks/{_segment(task_id)}/result", carries=_RESULT)

    async def cancel_task(self, task_id: str) -> JsonObject:
        """Documented as idempotent, so it is repeated like a read; its answer only as "always true"."""
        try:
            return await self._request("POST", f"/r/tasks/{_segment(task_id)}/cancel", carries=["is_success"])
        except UnexpectedAnswer as error:
            if error.status >= 300:
                raise
            return {"is_success": True}

    async def list_agents(self, page: Mapping[str, Any]) -> JsonObject:
        return await self._request("GET", "/r/agents", carries=["agent_list"], query=page)

    async def list_container_services(self, page: Mapping[str, Any]) -> JsonObject:
        return await self._request("GET", "/r/containers", carries=SERVICE_LIST_KEYS, query=page)

    async def get_container_service(self, service_slug: str) -> JsonObject:
        return await self._request("GET", f"/r/containers/{_segment(service_slug)}", carries=_SERVICE)

    async def call_container_service(self, service_slug: str, request: Mapping[str, Any]) -> JsonObject:
        path = f"/r/invoke/{_segment(service_slug)}"
        return await self._request("POST", path, request, carries=_CONTAINER_ANSWER, repeatable=False)

    async def presign_file_upload(self, file: Mapping[str, Any]) -> JsonObject:
        return await self._request("POST", "/r/files/presign", file, carries=["upload_url"], repeatable=False)

    @asynccontextmanager
    async def task_events(self, task_id: str) -> AsyncIterator[httpx2.Response]:
        """The open event stream of a task. One attempt: `follow` decides what a failure means for the wait."""
        url = f"{self.settings.base_url}/r/tasks/{_segment(task_id)}/events"
        headers = {
            **ALWAYS_SENT,
            **self._credential.headers,
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",  # 0.46 MB of gzip can be 300 MB of comments; see read_events
            "Cache-Control": "no-store",
        }
        idle = timeouts(self.settings, read=self.settings.events_idle)
        request = httpx2.Request("GET", url, headers=headers, extensions={"timeout": idle})
        with transport_errors():
            async with self._pools.waits.sent(request) as response:
                if response.status_code != httpx2.codes.OK or _is_json(response):
                    raise error_from(response, await read_bounded(response))
                yield response

    async def _run(self, path: str, run: Mapping[str, Any]) -> JsonObject:
        fresh = CyberunClient(
            self.settings, replace(self._pools, calls=self._pools.runs), self._credential, self.deadline, self._on_sent
        )
        answer = await fresh._request("POST", path, run, carries=["task_id"], repeatable=False)
        if isinstance(task_id := answer.get("task_id"), str):
            self._pools.submissions.remember(self._credential, task_id)
        return answer

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        carries: Collection[str],
        query: Mapping[str, Any] | None = None,
        repeatable: bool = True,
    ) -> JsonObject:
        return await with_retries(
            lambda: self._send(method, path, body, carries=carries, query=query),
            what=f"{method} {path}",
            repeatable=repeatable,
            deadline=self.deadline,
            telemetry=self._pools.telemetry,
        )

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        carries: Collection[str],
        query: Mapping[str, Any] | None = None,
    ) -> JsonObject:
        """One attempt. The deadline ends it wherever it stands, be it in the queue for a connection.

        `carries` names the fields of a success that no error body has.
        """
        url = _url(self.settings.base_url + path, tuple((query or {}).items()))
        content = None if body is None else _encode(body)
        headers = {**ALWAYS_SENT, **self._credential.headers, "Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        journey, patience = Journey(self._on_sent), timeouts(self.settings, read=self.settings.request_timeout)
        known = {"timeout": patience, "trace": journey.note}
        request = httpx2.Request(method, url, headers=headers, content=content, extensions=known)
        with transport_errors(journey), anyio.fail_after(max(0.0, self.deadline - anyio.current_time())):
            async with self._pools.calls.sent(request) as response:
                answer = await read_bounded(response)
        if not response.is_success:
            raise error_from(response, answer)
        parsed = parse_object(response.status_code, response.headers.get("content-type", ""), answer, carries)
        self._pools.clock.note(response.headers.get("date"))  # a success is the platform's own, and so is its clock
        return parsed


def _is_json(response: httpx2.Response) -> bool:
    return "json" in response.headers.get("content-type", "")


def _segment(value: str) -> str:
    """One path segment. `../x` cannot walk: slashes are encoded, and a segment of dots alone is refused."""
    if value.strip(".") == "":
        raise InvalidArguments(f"{value!r} is not an id or a slug.")
    return quote(value, safe="@")


@lru_cache(maxsize=1_000)
def _url(url: str, query: tuple[tuple[str, Any], ...]) -> httpx2.URL:
    """A URL that is parsed once: most calls ask for what was asked before, and parsing takes a tenth of a call."""
    return httpx2.URL(url, params=query)


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidArguments(f"body is not JSON that can be sent: {error}.") from error
