"""A Cyberun platform that costs next to nothing, so that what is measured is the server before it.

    python -m benchmarks.endpoint.upstream PORT

A task named `wait-SECONDS-anything` sends one event a second, each with the time it was sent, and then completes.
One named `missing-anything` is unknown. Whatever else a tool asks for is there.
"""

import asyncio
import json
import re
import sys
import time
from typing import cast

_WORKFLOW = {
    "id": "3b1f6c0e-0000-4000-8000-000000000001",
    "workflow_slug": "text-to-image",
    "workflow_name": "Text to image",
    "workflow_status": "active",
    "tool_type": "comfyui",
    "description": "Draws what a prompt says.",
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}
_PAGE = {
    "workflow_list": [_WORKFLOW] * 3,
    "page_meta": {"current_page": 1, "per_page": 20, "total_count": 3},
}


def _json_answer(value: object, status: bytes = b"200 OK") -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return head + body


_META = _PAGE["page_meta"]
_DONE = {"task_status": "completed", "task_output": {"storage_key": "tasks/1/output.png"}}
# By the kind of thing and, of a single one, what is asked of it: "" for the thing itself.
_ANSWERS = {
    ("workflows",): _json_answer(_PAGE),
    ("workflows", ""): _json_answer(_WORKFLOW),
    ("workflows", "run"): _json_answer({"task_id": "task-1"}, b"202 Accepted"),
    ("tasks",): _json_answer({"task_list": [{"id": "task-1", "task_status": "running"}], "page_meta": _META}),
    ("tasks", "result"): _json_answer(_DONE),
    ("tasks", "cancel"): _json_answer({"is_success": True}),
    ("agents",): _json_answer({"agent_list": [], "page_meta": _META}),
    ("containers", ""): _json_answer({"id": "s", "service_slug": "llm", "service_status": "running"}),
    ("invoke", ""): _json_answer({"status_code": 200, "headers": {}, "body_base64": "aGVsbG8="}),
    ("files", ""): _json_answer({"file_key": "inputs/1", "upload_url": "https://s3.test/1?X-Amz-Signature=upload"}),
}
_UNKNOWN = _json_answer({"error_message": "resource not found"}, b"404 Not Found")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Platform(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while b"\r\n\r\n" in self._unread:
            head, _, rest = self._unread.partition(b"\r\n\r\n")
            announced = _LENGTH.search(head)
            length = int(announced[1]) if announced else 0
            if len(rest) < length:
                return
            self._unread = rest[length:]
            self._answer(head.split(b" ", 2)[1].decode())

    def _answer(self, path: str) -> None:
        kind, *about = path.partition("?")[0].removeprefix("/api/v1/r/").replace("/slug/", "/").split("/")
        name, part = [*about, "", ""][:2]
        if part == "events":
            self._transport.write(_EVENTS)
            self._tick(int(name.split("-")[1]), 1)
        elif kind == "tasks" and name and not part:
            missing = name.startswith("missing")
            self._transport.write(_UNKNOWN if missing else _json_answer({"id": name, "task_status": "running"}))
        else:
            self._transport.write(_ANSWERS.get((kind, part) if name else (kind,), _UNKNOWN))

    def _tick(self, seconds: int, step: int) -> None:
        if self._transport.is_closing():
            return
        if step > seconds:
            self._event("completed", {"status": "completed", "output": {"storage_key": "tasks/1/output.png"}})
            self._transport.write(b"0\r\n\r\n")
            return
        progress = {"progress": step / seconds, "step_current": step, "step_total": seconds}
        self._event("progress", {**progress, "message": f"t={time.time_ns()}"})
        asyncio.get_running_loop().call_later(1.0, self._tick, seconds, step + 1)

    def _event(self, name: str, data: dict[str, object]) -> None:
        piece = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        self._transport.write(b"%x\r\n%s\r\n" % (len(piece), piece))


async def serve(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Platform, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
