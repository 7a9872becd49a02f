"""The assistant: what an AI client does with the tools, and with the files, whose bytes do not travel in MCP."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path, PurePath
from typing import Any, TextIO

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import CallToolResult, Implementation, ResourceLink, TextContent

from cyberun_mcp import __version__
from cyberun_mcp.demo.files import SavedFile, described
from cyberun_mcp.demo.screen import Screen

CALL_TIMEOUT = 60.0  # seconds; no step of the demo takes a tenth of it


class DemoFailed(Exception):
    """Something went another way than the story tells it."""


@asynccontextmanager
async def started_server(log: TextIO) -> AsyncIterator[Client]:
    """A client of `cyberun-mcp --emulator`, started as a process whose stderr goes to `log`.

    The SDK hands a server only a few variables of the environment, so a real key stays out of this.
    """
    # -P: a folder that happens to hold a file called mcp.py must not get in the way.
    command = StdioServerParameters(command=sys.executable, args=["-P", "-m", "cyberun_mcp", "--emulator"])
    who = Implementation(name="cyberun-mcp-demo", version=__version__)
    async with Client(stdio_client(command, errlog=log), client_info=who, read_timeout_seconds=CALL_TIMEOUT) as client:
        yield client


class Assistant:
    """Calls tools, shows what came of it, and remembers which ones it used and which files it saved."""

    def __init__(self, client: Client, files: httpx2.AsyncClient, screen: Screen) -> None:
        self.client = client
        self.used: set[str] = set()
        self.files: list[SavedFile] = []
        self._http = files
        self._screen = screen

    async def use(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer of one tool call."""
        return (await self._call(tool, arguments)).structured_content or {}

    async def run(self, workflow_slug: str, parameters: Mapping[str, Any]) -> str:
        """Start a workflow; the id of its task."""
        body = {"parameters": parameters}
        task_id = str((await self.use("run_workflow_by_slug", workflow_slug=workflow_slug, body=body))["task_id"])
        self._screen.did("run_workflow_by_slug", f"{workflow_slug}, task {task_id}")
        return task_id

    async def watch(self, task_id: str, timeout_seconds: int = 60) -> dict[str, Any]:
        """Wait for a task, with its progress on the screen as the server notifies it."""
        tool, notified = "stream_task_events", 0
        with self._screen.watching(tool) as show:

            async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                nonlocal notified
                notified += 1
                show(progress, message or "")

            arguments = {"task_id": task_id, "timeout_seconds": timeout_seconds}
            waited = (await self._call(tool, arguments, on_progress)).structured_content or {}
        words = f"{waited['task_status']} after {waited['waited_seconds']} s, {notified} updates"
        self._screen.watched(tool, waited.get("progress"), words)
        return waited

    async def upload(self, file: Path) -> str:
        """Bring a file to the platform; its file_key."""
        content = await anyio.Path(file).read_bytes()
        metadata = {"file_name": file.name, "file_size": len(content), "content_type": "image/png"}
        presigned = await self.use("presign_file_upload", body=metadata)
        # Exactly the headers that were signed, and no key: the URL is the permission.
        answer = await self._http.put(presigned["upload_url"], content=content, headers=presigned["upload_headers"])
        answer.raise_for_status()
        self._screen.did("presign_file_upload", f"PUT {file.name}, {len(content):,} bytes: HTTP {answer.status_code}")
        return str(presigned["file_key"])

    async def fetch(self, task_id: str, folder: Path) -> None:
        """Download everything a task produced into `folder`."""
        result = await self._call("get_task_result", {"task_id": task_id})
        links = [each for each in result.content if isinstance(each, ResourceLink)]
        if not links:
            raise DemoFailed(f"get_task_result has no resource link for task {task_id}")
        await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
        saved = [await self._download(link, folder) for link in links]
        self.files += saved
        self._screen.did("get_task_result", f"downloaded {', '.join(each.path.name for each in saved)}")

    async def _download(self, link: ResourceLink, folder: Path) -> SavedFile:
        path = folder / PurePath(link.name).name  # never outside, whatever the server calls it
        async with self._http.stream("GET", str(link.uri)) as answer, await anyio.open_file(path, "wb") as file:
            answer.raise_for_status()
            async for chunk in answer.aiter_bytes():
                await file.write(chunk)
        saved = described(path)
        if not saved.size:
            raise DemoFailed(f"{link.name} came without a single byte")
        return saved

    async def _call(
        self, tool: str, arguments: dict[str, Any], on_progress: ProgressFnT | None = None
    ) -> CallToolResult:
        result = await self.client.call_tool(tool, arguments, progress_callback=on_progress)
        if result.is_error:
            words = "\n".join(each.text for each in result.content if isinstance(each, TextContent))
            raise DemoFailed(f"{tool} failed: {words}")
        self.used.add(tool)
        return result
