"""A Cyberun platform over real sockets that fails on purpose.

What happens to a request is decided by the task, workflow or service it names: ids look like `FAULT.CALLER`, and the
script of that FAULT answers. So one server process can meet every fault at the same time, and the record tells the
callers apart. Whatever has no script is answered as the platform documents it.
"""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.faults.exchange import Exchange, Hangup, Seen, next_request

Script = Callable[[Exchange, "Subject"], Awaitable[None]]
PREFIX = "/api/v1/r"


@dataclass
class Subject:
    """A task, workflow or service: what the platform knows of it, and how often each of its endpoints was asked.

    `asked` counts by the last part of the path: "" for the thing itself, else "events", "result", "run", "cancel".
    """

    id: str
    status: str = "running"
    output: Any = field(default_factory=lambda: {"storage_key": "tasks/1/output.png"})
    error: str = ""
    steps: int = 0
    asked: Counter[str] = field(default_factory=Counter)

    def task(self) -> dict[str, Any]:
        return {"id": self.id, "workflow_id": "w", "task_status": self.status, "task_error": self.error}

    def result(self) -> dict[str, Any]:
        return {"id": self.id, "task_status": self.status, "task_output": self.output, "task_error": self.error}


class FaultyPlatform:
    """`scripts` answer by (fault, part of the path). `requests` is the record; `created` the tasks runs made.

    `connections` is how many are open.
    """

    def __init__(self, scripts: Mapping[tuple[str, str], Script]) -> None:
        self.scripts = dict(scripts)
        self.requests: list[Seen] = []
        self.hung_up: list[Seen] = []
        self.created: list[dict[str, Any]] = []
        self.connections = 0
        self.base_url = ""
        self._subjects: dict[str, Subject] = {}

    def seen(self, identifier: str, part: str | None = None) -> list[Seen]:
        """The requests about a task, workflow or service; only those for one part of it, when named."""
        return [
            each
            for each in self.requests
            if _about(each) == (identifier, part if part is not None else _about(each)[1])
        ]

    def runs_of(self, workflow_slug: str) -> list[dict[str, Any]]:
        """The tasks that were made by running a workflow."""
        return [task for task in self.created if task["workflow_id"] == f"id-of-{workflow_slug}"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        try:
            while True:
                seen = await next_request(reader)
                self.requests.append(seen)
                exchange = Exchange(seen, self, reader, writer)
                try:
                    await self._answer(exchange)
                except (Hangup, ConnectionError):
                    self.hung_up.append(seen)
                    return
                if exchange.last:
                    await reader.read(1)
                    writer.transport.abort()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the caller has closed the connection, as callers do
        finally:
            writer.close()
            self.connections -= 1

    async def _answer(self, exchange: Exchange) -> None:
        identifier, part = _about(exchange.seen)
        subject = self._subjects.setdefault(identifier, Subject(identifier))
        subject.asked[part] += 1
        await self.respond(exchange, subject, part)

    async def respond(self, exchange: Exchange, subject: Subject, part: str) -> None:
        """Answer a request about one part of a subject; by its script, where it has one."""
        script = self.scripts.get((subject.id.partition(".")[0], part), self.as_documented)
        await script(exchange, subject)

    async def as_documented(self, exchange: Exchange, subject: Subject) -> None:
        """Answer as the platform does when all is well."""
        match exchange.seen.path.removeprefix(PREFIX).partition("?")[0].strip("/").split("/"):
            case ["tasks"]:
                await exchange.json(self._page_of_tasks(exchange.seen.path))
            case ["tasks", _]:
                await exchange.json(subject.task())
            case ["tasks", _, "result"]:
                await exchange.json(subject.result())
            case ["tasks", _, "events"]:
                await exchange.open_events()
                subject.status = "completed"
                await exchange.event("completed", status="completed", output=subject.output)
                await exchange.end()
            case ["tasks", _, "cancel"]:
                await exchange.json({"is_success": True})
            case ["workflows", "slug", slug, "run"]:
                await exchange.json({"task_id": self.accept_run(unquote(slug))}, 202)
            case ["workflows", "slug", slug]:
                await exchange.json({"id": f"id-of-{unquote(slug)}", "workflow_slug": unquote(slug), "parameters": []})
            case ["workflows"]:
                await exchange.json({"workflow_list": [], "page_meta": _meta(0)})
            case ["agents"]:
                await exchange.json({"agent_list": [], "page_meta": _meta(0)})
            case ["containers"]:
                await exchange.json({"service_list": [], "page_meta": _meta(0)})
            case ["containers", slug]:
                await exchange.json({"id": "s", "service_slug": slug, "service_status": "running"})
            case ["invoke", _]:
                await exchange.json({"status_code": 200, "headers": {}, "body_base64": "aGVsbG8="})
            case ["files", "presign"]:
                await exchange.json({"file_key": "inputs/1", "upload_url": "https://s3.test/1?X-Amz-Signature=upload"})
            case _:
                await exchange.json({"error_message": "resource not found"}, 404)

    def _page_of_tasks(self, path: str) -> dict[str, Any]:
        """One page of the tasks that runs have made, oldest first: the order is documented nowhere."""
        query = parse_qs(path.partition("?")[2])
        page, size = (int(query[name][0]) for name in ("current_page", "per_page"))
        tasks = self.created[(page - 1) * size : page * size]
        return {"task_list": tasks, "page_meta": _meta(len(self.created), page, size)}

    def accept_run(self, workflow_slug: str) -> str:
        """Make the task of one accepted run; its id."""
        task_id = f"task-{len(self.created) + 1}.{workflow_slug}"
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        workflow_id = f"id-of-{workflow_slug}"
        self.created.append(
            {"id": task_id, "workflow_id": workflow_id, "task_status": "running", "created_at": created_at}
        )
        return task_id


def _about(seen: Seen) -> tuple[str, str]:
    """The thing a request is about, and the part of it: `/r/tasks/7/events` → ("7", "events")."""
    parts = [unquote(each) for each in seen.path.removeprefix(PREFIX).partition("?")[0].strip("/").split("/")]
    if parts[:2] == ["workflows", "slug"]:
        del parts[1]
    return (parts[1] if len(parts) > 1 else parts[0]), (parts[2] if len(parts) > 2 else "")


def _meta(total: int, page: int = 1, size: int = 100) -> dict[str, int]:
    return {"current_page": page, "per_page": size, "total_count": total}


@contextmanager
def running(platform: FaultyPlatform, *, open_at_once: bool = True) -> Iterator[Callable[[], None]]:
    """The platform at work in a thread of its own, at `platform.base_url`.

    What is yielded opens the door: until then connections are refused, unless the door is open at once.
    """
    # Without the protocol asyncio leaves Nagle's algorithm on, and small answers take 40 ms.
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.bind(("127.0.0.1", 0))
    platform.base_url = f"http://127.0.0.1:{door.getsockname()[1]}/api/v1"
    loop = asyncio.new_event_loop()

    async def open_door() -> None:
        await asyncio.start_server(platform.serve, sock=door, backlog=4096, limit=2**20)

    def open_from_outside() -> None:
        asyncio.run_coroutine_threadsafe(open_door(), loop).result()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        if open_at_once:
            open_from_outside()
        yield open_from_outside
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        door.close()


async def _end_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
