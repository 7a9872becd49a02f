"""A small client for the REST API, and what several test modules expect of its values."""

import json
import re
import time
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2

TIMEOUT = 30
"""In seconds. A guard against hanging, far longer than anything takes; no test makes a claim about it."""

UUID_7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass
class PlatformClient:
    """Sends requests with one credential and checks the status of the responses."""

    http: httpx2.AsyncClient

    async def get(self, path: str, status: int = 200) -> dict[str, Any]:
        """The JSON object at a path."""
        return _checked(await self.http.get(path), status)

    async def post(self, path: str, body: object = None, status: int = 200) -> dict[str, Any]:
        """The JSON response to a JSON request."""
        return _checked(await self.http.post(path, json=body), status)

    async def run(self, slug: str, parameters: dict[str, Any] | None = None, **body: Any) -> str:
        """Submit a task; returns its id."""
        answer = await self.post(f"/r/workflows/slug/{slug}/run", {"parameters": parameters or {}, **body}, 202)
        return str(answer["task_id"])

    async def wait_for_status(self, task_id: str, *statuses: str) -> dict[str, Any]:
        """Wait until the task has one of these statuses; returns the task."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            task = await self.get(f"/r/tasks/{task_id}")
            if task["task_status"] in statuses:
                return task
            assert time.monotonic() < deadline, f"still {task['task_status']}, expected {statuses}"
            await anyio.sleep(0.01)

    async def run_to_end(self, slug: str, parameters: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
        """Run a workflow and wait until its task ends; returns the result."""
        task_id = await self.run(slug, parameters, **body)
        await self.events(task_id)
        return await self.get(f"/r/tasks/{task_id}/result")

    async def events(self, task_id: str) -> list[tuple[str, dict[str, Any]]]:
        """All events of a task, until the platform closes the stream."""
        return events_in(await self.event_lines(task_id))

    async def event_lines(self, task_id: str) -> list[str]:
        """All lines of the event stream of a task."""
        async with self.http.stream("GET", f"/r/tasks/{task_id}/events") as stream:
            assert stream.status_code == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
            return [line async for line in stream.aiter_lines()]

    async def presign(self, size: int, name: str = "photo.png", content_type: str = "image/png") -> dict[str, Any]:
        """The response to a presign request."""
        return await self.post("/r/files/presign", {"file_name": name, "file_size": size, "content_type": content_type})

    async def upload(self, content: bytes) -> str:
        """Presign and upload a file; returns its key."""
        presigned = await self.presign(len(content))
        put = await fetch("PUT", presigned["upload_url"], headers=presigned["upload_headers"], content=content)
        assert put.status_code == 200, put.text
        return str(presigned["file_key"])


async def fetch(method: str, url: str, **options: Any) -> httpx2.Response:
    """Send a request without credentials, for example to a presigned URL."""
    async with httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT) as http:
        return await http.request(method, url, **options)


def events_in(lines: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """The name and data of each event in the lines of a stream."""
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return list(zip(names, data, strict=True))


def _checked(response: httpx2.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    answer = response.json()
    assert isinstance(answer, dict)
    return answer
