"""A small client for the tests: one method for each thing they do often."""

import json
import time
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2

TIMEOUT = 15
"""Seconds to wait for something that has to happen; only a broken emulator uses them up."""


@dataclass
class PlatformClient:
    """The platform as one credential sees it."""

    http: httpx2.AsyncClient

    async def get(self, path: str, status: int = 200) -> dict[str, Any]:
        """The JSON object at a path."""
        return _checked(await self.http.get(path), status)

    async def post(self, path: str, body: object = None, status: int = 200) -> dict[str, Any]:
        """The JSON answer to a JSON request."""
        return _checked(await self.http.post(path, json=body), status)

    async def run(self, slug: str, parameters: dict[str, Any] | None = None, **body: Any) -> str:
        """Submit a run; the task's id."""
        answer = await self.post(f"/r/workflows/slug/{slug}/run", {"parameters": parameters or {}, **body}, 202)
        return str(answer["task_id"])

    async def wait_for_status(self, task_id: str, *statuses: str) -> dict[str, Any]:
        """The task, once it has one of these statuses."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            task = await self.get(f"/r/tasks/{task_id}")
            if task["task_status"] in statuses:
                return task
            assert time.monotonic() < deadline, f"still {task['task_status']}, expected {statuses}"
            await anyio.sleep(0.01)

    async def run_to_end(self, slug: str, parameters: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
        """Run to the end; the result."""
        task_id = await self.run(slug, parameters, **body)
        await self.events(task_id)
        return await self.get(f"/r/tasks/{task_id}/result")

    async def events(self, task_id: str) -> list[tuple[str, dict[str, Any]]]:
        """All events of a task, until the platform closes the stream."""
        return events_in(await self.event_lines(task_id))

    async def event_lines(self, task_id: str) -> list[str]:
        """The event stream as it came, line by line."""
        async with self.http.stream("GET", f"/r/tasks/{task_id}/events") as stream:
            assert stream.status_code == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
            return [line async for line in stream.aiter_lines()]

    async def presign(self, size: int, name: str = "photo.png", content_type: str = "image/png") -> dict[str, Any]:
        """A presigned upload."""
        return await self.post("/r/files/presign", {"file_name": name, "file_size": size, "content_type": content_type})

    async def upload(self, content: bytes) -> str:
        """Upload; the file key."""
        presigned = await self.presign(len(content))
        put = await fetch("PUT", presigned["upload_url"], headers=presigned["upload_headers"], content=content)
        assert put.status_code == 200, put.text
        return str(presigned["file_key"])


async def fetch(method: str, url: str, **options: Any) -> httpx2.Response:
    """A request to a signed URL, without credentials."""
    async with httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT) as http:
        return await http.request(method, url, **options)


def events_in(lines: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of each event in a stream's lines."""
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return list(zip(names, data, strict=True))


def _checked(response: httpx2.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    answer = response.json()
    assert isinstance(answer, dict)
    return answer
