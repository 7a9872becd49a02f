"""A Cyberun platform that costs next to nothing, so that what is measured is the server before it.

    python -m benchmarks.endpoint.upstream PORT

A task named `wait-SECONDS-anything` sends one event a second, each with the time it was sent, and then completes.
"""

import asyncio
import json
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


def _json_answer(value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


_WORKFLOWS = _json_answer(_PAGE)
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Platform(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while b"\r\n\r\n" in self._unread:
            head, _, self._unread = self._unread.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            if path.endswith(b"/events"):
                task = path.rsplit(b"/", 2)[1].decode()
                self._transport.write(_EVENTS)
                self._tick(int(task.split("-")[1]), 1)
            elif b"/tasks/" in path:
                self._transport.write(_json_answer({"id": path.rsplit(b"/")[-1].decode(), "task_status": "running"}))
            else:
                self._transport.write(_WORKFLOWS)

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
