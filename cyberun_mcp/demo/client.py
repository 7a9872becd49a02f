"""The MCP client of the demo: starts the server, calls tools, and transfers the files, which MCP does not."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path, PurePath
from typing import Any, TextIO

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult, Implementation, ResourceLink, TextContent

from cyberun_mcp import __version__
from cyberun_mcp.demo.files import SavedFile, describe_file
from cyberun_mcp.demo.screen import Screen
from cyberun_mcp.sdk_engine import ProgressFnT

CALL_TIMEOUT = 60.0  # in seconds; no step of the demo takes a tenth of it


class DemoFailed(Exception):
    """A step did not have the result that the walkthrough expects."""


@asynccontextmanager
async def connect_to_new_server(log: TextIO) -> AsyncIterator[Client]:
    """Start `cyberun-mcp --emulator` as a process whose stderr goes to `log`, and connect to it over stdio.

    The SDK passes only a few environment variables to a server, so it never sees a real key of the user.
    """
    # -P, because the current folder could have a file called mcp.py.
    command = StdioServerParameters(command=sys.executable, args=["-P", "-m", "cyberun_mcp", "--emulator"])
    client_info = Implementation(name="cyberun-mcp-demo", version=__version__)
    async with Client(
        stdio_client(command, errlog=log), client_info=client_info, read_timeout_seconds=CALL_TIMEOUT
    ) as client:
        yield client


class DemoClient:
    """Calls tools and shows the results. Records in `used_tools` and `saved_files` what it has done."""

    def __init__(self, mcp: Client, http: httpx2.AsyncClient, screen: Screen) -> None:
        self.mcp = mcp
        self.used_tools: set[str] = set()
        self.saved_files: list[SavedFile] = []
        self._http = http
        self._screen = screen

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; returns its structured result."""
        return (await self._call(tool, arguments)).structured_content or {}

    async def run_workflow(self, workflow_slug: str, parameters: Mapping[str, Any]) -> str:
        """Run a workflow; returns the id of its task."""
        body = {"parameters": parameters}
        task_id = str((await self.call("run_workflow_by_slug", workflow_slug=workflow_slug, body=body))["task_id"])
        self._screen.show_result("run_workflow_by_slug", f"{workflow_slug}, task {task_id}")
        return task_id

    async def wait_for_task(self, task_id: str, timeout_seconds: int = 60) -> dict[str, Any]:
        """Wait for a task and show its progress notifications; returns the result of `stream_task_events`."""
        tool, notifications = "stream_task_events", 0
        with self._screen.live_progress(tool) as show:

            async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                nonlocal notifications
                notifications += 1
                show(progress, message or "")

            arguments = {"task_id": task_id, "timeout_seconds": timeout_seconds}
            result = (await self._call(tool, arguments, on_progress)).structured_content or {}
        text = f"{result['task_status']} after {result['waited_seconds']} s, {notifications} updates"
        self._screen.show_progress(tool, result.get("progress"), text)
        return result

    async def upload(self, file: Path) -> str:
        """Upload a file to the platform; returns its `file_key`."""
        content = await anyio.Path(file).read_bytes()
        metadata = {"file_name": file.name, "file_size": len(content), "content_type": "image/png"}
        presigned = await self.call("presign_file_upload", body=metadata)
        # Exactly the signed headers, and no key: the URL itself grants access.
        response = await self._http.put(presigned["upload_url"], content=content, headers=presigned["upload_headers"])
        response.raise_for_status()
        self._screen.show_result(
            "presign_file_upload", f"PUT {file.name}, {len(content):,} bytes: HTTP {response.status_code}"
        )
        return str(presigned["file_key"])

    async def download_outputs(self, task_id: str, folder: Path) -> None:
        """Download all outputs of a task to `folder`."""
        result = await self._call("get_task_result", {"task_id": task_id})
        links = [block for block in result.content if isinstance(block, ResourceLink)]
        if not links:
            raise DemoFailed(f"get_task_result has no resource link for task {task_id}")
        await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
        saved = [await self._download(link, folder) for link in links]
        self.saved_files += saved
        self._screen.show_result("get_task_result", f"downloaded {', '.join(file.path.name for file in saved)}")

    async def _download(self, link: ResourceLink, folder: Path) -> SavedFile:
        path = folder / PurePath(link.name).name  # only the last part, so that no name leads out of the folder
        async with self._http.stream("GET", str(link.uri)) as response, await anyio.open_file(path, "wb") as file:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                await file.write(chunk)
        saved = describe_file(path)
        if not saved.size:
            raise DemoFailed(f"{link.name} came without a single byte")
        return saved

    async def _call(
        self, tool: str, arguments: dict[str, Any], on_progress: ProgressFnT | None = None
    ) -> CallToolResult:
        result = await self.mcp.call_tool(tool, arguments, progress_callback=on_progress)
        if result.is_error:
            text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
            raise DemoFailed(f"{tool} failed: {text}")
        self.used_tools.add(tool)
        return result
