"""The Cyberun REST API: one method per endpoint, one set of connections per process."""

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import anyio
import httpx2

from cyberun_mcp.api.connections import ALWAYS_SENT, PlatformConnections, platform_connections, timeouts
from cyberun_mcp.api.credentials import Credential
from cyberun_mcp.api.models import SERVICE_LIST_KEYS
from cyberun_mcp.api.responses import JsonObject, error_from, parse_object, read_bounded
from cyberun_mcp.api.retry import with_retries
from cyberun_mcp.api.throttle import Throttle
from cyberun_mcp.api.transport_errors import RequestProgress, transport_errors
from cyberun_mcp.errors import InvalidArguments, UnexpectedResponse
from cyberun_mcp.observability.telemetry import NO_TELEMETRY, Telemetry
from cyberun_mcp.settings import Settings

# Fields of a successful response. A response with an `error_message` and none of these fields is an error.
_WORKFLOW = ("workflow_slug", "parameters")
_TASK = ("task_status",)
_RESULT = ("task_status", "task_output", "download_url", "download_urls")
_SERVICE = ("service_slug", "service_status")
_CONTAINER_RESPONSE = ("headers", "body_base64")


class Platform:
    """The connections of one process to the platform, shared by all callers; close it when done.

    `transport` replaces the network in tests. `throttle` makes waits read less often; the default one never does.
    """

    def __init__(
        self,
        settings: Settings,
        transport: httpx2.AsyncBaseTransport | None = None,
        telemetry: Telemetry = NO_TELEMETRY,
        throttle: Throttle | None = None,
    ) -> None:
        self.settings = settings
        self._connections = platform_connections(settings, transport, telemetry, throttle)

    def client_for(self, credential: Credential, deadline: float) -> "CyberunClient":
        """The API with one caller's key, until `deadline` (anyio's clock)."""
        return CyberunClient(self.settings, self._connections, credential, deadline)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connections.aclose()


class CyberunClient:
    """The API with one caller's key. Methods raise ApiError, UnexpectedResponse, Unreachable or InvalidArguments."""

    def __init__(
        self,
        settings: Settings,
        connections: PlatformConnections,
        credential: Credential,
        deadline: float,
        on_sent: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.deadline = deadline
        self._on_sent = on_sent
        self.throttle = connections.throttle
        self.clock = connections.clock
        self._connections = connections
        self._credential = credential

    def until(self, deadline: float, on_sent: Callable[[], None] = lambda: None) -> "CyberunClient":
        """A copy with another deadline (anyio's clock). `on_sent` is called when a request begins to be sent."""
        return CyberunClient(self.settings, self._connections, self._credential, deadline, on_sent)

    def waiting_until(self, deadline: float) -> "CyberunClient":
        """A copy for a wait: another deadline, and the connections that are reserved for waits."""
        connections = replace(self._connections, calls=self._connections.waits)
        return CyberunClient(self.settings, connections, self._credential, deadline)

    def submitted_seconds_ago(self, task_id: str) -> float | None:
        """How long ago this caller submitted a task through this process; None when it did not, or too long ago."""
        return self._connections.submitted_tasks.seconds_ago(self._credential, task_id)

    async def list_workflows(self, page: Mapping[str, Any]) -> JsonObject:
        return await self._request("GET", "/r/workflows", success_fields=["workflow_list"], query=page)

    async def get_workflow(self, workflow_id: str) -> JsonObject:
        return await self._request("GET", f"/r/workflows/{_segment(workflow_id)}", success_fields=_WORKFLOW)

    async def get_workflow_by_slug(self, workflow_slug: str) -> JsonObject:
        return await self._request("GET", f"/r/workflows/slug/{_segment(workflow_slug)}", success_fields=_WORKFLOW)

    async def run_workflow(self, workflow_id: str, run: Mapping[str, Any]) -> JsonObject:
        return await self._run(f"/r/workflows/{_segment(workflow_id)}/run", run)

    async def run_workflow_by_slug(self, workflow_slug: str, run: Mapping[str, Any]) -> JsonObject:
        return await self._run(f"/r/workflows/slug/{_segment(workflow_slug)}/run", run)

    async def list_tasks(self, page: Mapping[str, Any]) -> JsonObject:
        return await self._request("GET", "/r/tasks", success_fields=["task_list"], query=page)

    async def get_task(self, task_id: str) -> JsonObject:
        return await self._request("GET", f"/r/tasks/{_segment(task_id)}", success_fields=_TASK)

    async def poll_task(self, task_id: str) -> JsonObject:
        """`get_task` in a single attempt, for a caller that handles failures itself."""
        return await self._send("GET", f"/r/tasks/{_segment(task_id)}", success_fields=_TASK)

    async def get_task_result(self, task_id: str) -> JsonObject:
        return await self._request("GET", f"/r/tasks/{_segment(task_id)}/result", success_fields=_RESULT)

    async def cancel_task(self, task_id: str) -> JsonObject:
        """Documented as idempotent, so it is retried like a GET. The documented response is always `is_success: true`,
        so any other success is taken for that.
        """
        try:
            return await self._request("POST", f"/r/tasks/{_segment(task_id)}/cancel", success_fields=["is_success"])
        except UnexpectedResponse as error:
            if error.status >= 300:
                raise
            return {"is_success": True}

    async def list_agents(self, page: Mapping[str, Any]) -> JsonObject:
        return await self._request("GET", "/r/agents", success_fields=["agent_list"], query=page)

    async def list_container_services(self, page: Mapping[str, Any]) -> JsonObject:
        return await self._request("GET", "/r/containers", success_fields=SERVICE_LIST_KEYS, query=page)

    async def get_container_service(self, service_slug: str) -> JsonObject:
        return await self._request("GET", f"/r/containers/{_segment(service_slug)}", success_fields=_SERVICE)

    async def call_container_service(self, service_slug: str, request: Mapping[str, Any]) -> JsonObject:
        path = f"/r/invoke/{_segment(service_slug)}"
        return await self._request("POST", path, request, success_fields=_CONTAINER_RESPONSE, repeatable=False)

    async def presign_file_upload(self, file: Mapping[str, Any]) -> JsonObject:
        return await self._request("POST", "/r/files/presign", file, success_fields=["upload_url"], repeatable=False)

    @asynccontextmanager
    async def task_events(self, task_id: str) -> AsyncIterator[httpx2.Response]:
        """The open event stream of a task, in a single attempt: `follow` decides what a failure means for the wait."""
        url = f"{self.settings.base_url}/r/tasks/{_segment(task_id)}/events"
        headers = {
            **ALWAYS_SENT,
            **self._credential.headers,
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",  # 0.46 MB of gzip can hold 300 MB of comments; see read_events
            "Cache-Control": "no-store",
        }
        idle = timeouts(self.settings, read=self.settings.events_idle)
        request = httpx2.Request("GET", url, headers=headers, extensions={"timeout": idle})
        with transport_errors():
            async with self._connections.waits.send(request) as response:
                if response.status_code != httpx2.codes.OK or _is_json(response):
                    raise error_from(response, await read_bounded(response))
                yield response

    async def _run(self, path: str, run: Mapping[str, Any]) -> JsonObject:
        connections = replace(self._connections, calls=self._connections.runs)
        client = CyberunClient(self.settings, connections, self._credential, self.deadline, self._on_sent)
        submitted = await client._request("POST", path, run, success_fields=["task_id"], repeatable=False)
        if isinstance(task_id := submitted.get("task_id"), str):
            self._connections.submitted_tasks.remember(self._credential, task_id)
        return submitted

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        success_fields: Collection[str],
        query: Mapping[str, Any] | None = None,
        repeatable: bool = True,
    ) -> JsonObject:
        return await with_retries(
            lambda: self._send(method, path, body, success_fields=success_fields, query=query),
            request_name=f"{method} {path}",
            repeatable=repeatable,
            deadline=self.deadline,
            telemetry=self._connections.telemetry,
        )

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        success_fields: Collection[str],
        query: Mapping[str, Any] | None = None,
    ) -> JsonObject:
        """One attempt. The deadline ends it at any point, even while it queues for a connection.

        `success_fields` names fields that a success has and an error body has not.
        """
        url = _url(self.settings.base_url + path, tuple((query or {}).items()))
        content = None if body is None else _encode(body)
        headers = {**ALWAYS_SENT, **self._credential.headers, "Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        progress = RequestProgress(self._on_sent)
        limits = timeouts(self.settings, read=self.settings.request_timeout)
        extensions = {"timeout": limits, "trace": progress.trace}
        request = httpx2.Request(method, url, headers=headers, content=content, extensions=extensions)
        with transport_errors(progress), anyio.fail_after(max(0.0, self.deadline - anyio.current_time())):
            async with self._connections.calls.send(request) as response:
                response_body = await read_bounded(response)
        if not response.is_success:
            raise error_from(response, response_body)
        content_type = response.headers.get("content-type", "")
        parsed = parse_object(response.status_code, content_type, response_body, success_fields)
        # Only of a success: an error may come from a proxy, which has a clock of its own.
        self._connections.clock.record(response.headers.get("date"))
        return parsed


def _is_json(response: httpx2.Response) -> bool:
    return "json" in response.headers.get("content-type", "")


def _segment(value: str) -> str:
    """An encoded path segment. `../x` cannot escape: slashes are encoded, and a segment of only dots is rejected."""
    if value.strip(".") == "":
        raise InvalidArguments(f"{value!r} is not an id or a slug.")
    return quote(value, safe="@")


@lru_cache(maxsize=1_000)
def _url(url: str, query: tuple[tuple[str, Any], ...]) -> httpx2.URL:
    """A parsed URL. It is cached because parsing takes a tenth of a call, and most URLs are used again."""
    return httpx2.URL(url, params=query)


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidArguments(f"body is not JSON that can be sent: {error}.") from error
