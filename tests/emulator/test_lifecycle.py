"""Starting, stopping and restarting the emulator."""

import asyncio
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from cyberun_mcp.emulator import DataDirectoryError, Emulator, emulator

from .conftest import connected
from .platform_client import TIMEOUT, fetch

SMALL = {"prompt": "sea", "steps": 1, "width": 64, "height": 64}
LONG = {"prompt": "sea", "steps": 100, "width": 1024, "height": 1024}


async def test_credentials_tasks_files_and_outputs_survive_a_restart(tmp_path: Path, png: bytes) -> None:
    folder = tmp_path / "new" / "data"
    async with emulator(data=folder) as first, connected(first.base_url, first.api_key) as client:
        done = await client.run_to_end("text-to-image", SMALL)
        key = await client.upload(png)
        workflow_id = (await client.get("/r/workflows/slug/text-to-image"))["id"]
        content = (await fetch("GET", done["download_url"])).content
        port = int(first.base_url.split(":")[2].split("/")[0])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "emulator.sqlite3").stat().st_mode) == 0o600
    async with emulator(data=folder, port=port) as second, connected(second.base_url, second.api_key) as client:
        assert second == first
        assert (await client.get(f"/r/tasks/{done['id']}"))["task_status"] == "completed"
        assert (await client.get("/r/workflows/slug/text-to-image"))["id"] == workflow_id
        # A URL signed before the restart is still valid.
        assert (await fetch("GET", done["download_url"])).content == content
        again = await client.get(f"/r/tasks/{done['id']}/result")
        assert (await fetch("GET", again["download_url"])).content == content
        painted = await client.run_to_end("img2img", {"input_image": key, "prompt": "x", "steps": 1})
        assert painted["task_status"] == "completed"


async def test_a_restart_fails_running_tasks_and_continues_the_others(tmp_path: Path) -> None:
    async with emulator(data=tmp_path) as first, connected(first.base_url, first.api_key) as client:
        running = [await client.run("text-to-image", LONG) for _ in range(2)]
        queued = await client.run("text-to-image", SMALL)
        waiting = await client.run("needs-a100", {"prompt": "x"})
        for task_id in running:
            await client.wait_for_status(task_id, "running")
        await client.wait_for_status(queued, "queued")
        await client.wait_for_status(waiting, "waiting")
    assert list((tmp_path / "partial").iterdir()) == []
    async with emulator(data=tmp_path) as second, connected(second.base_url, second.api_key) as client:
        for task_id in running:
            task = await client.get(f"/r/tasks/{task_id}")
            assert task["task_status"] == "failed"
            assert task["task_error"] == "interrupted: the emulator stopped while this task was running"
            assert task["completed_at"]
        await client.wait_for_status(queued, "completed")
        await client.wait_for_status(waiting, "waiting")
        await client.post(f"/r/tasks/{waiting}/cancel")


async def test_without_a_data_directory_no_file_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with emulator() as running, connected(running.base_url, running.api_key) as client:
        await client.run_to_end("text-to-image", SMALL)
        assert len(list(tmp_path.iterdir())) == 1  # noqa: ASYNC240
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


async def test_each_data_directory_has_its_own_keys(platform: Emulator) -> None:
    async with emulator() as another:
        for name in ("api_key", "viewer_key", "other_team_key", "jwt", "team_id"):
            assert getattr(another, name) != getattr(platform, name)


async def test_a_data_directory_in_use_is_rejected(platform: Emulator, data: Path) -> None:
    with pytest.raises(DataDirectoryError, match="in use by another emulator"):
        async with emulator(data=data):
            raise AssertionError("started twice on one directory")


async def test_a_file_that_is_not_a_database_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "emulator.sqlite3").write_bytes(b"something else entirely" * 100)
    with pytest.raises(DataDirectoryError, match="not an emulator database"):
        async with emulator(data=tmp_path):
            raise AssertionError("started on something else")


async def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        async with emulator(port=taken.getsockname()[1]):
            raise AssertionError("started on a port in use")


async def test_stopping_leaves_no_thread_and_no_asyncio_task_behind() -> None:
    before = asyncio.all_tasks()
    async with emulator() as running, connected(running.base_url, running.api_key) as client:
        await client.wait_for_status(await client.run("text-to-image", LONG), "running")
        assert any(thread.name.startswith("emulator-agent") for thread in threading.enumerate())
    assert not any(thread.name.startswith("emulator-agent") for thread in threading.enumerate())
    assert asyncio.all_tasks() == before


async def test_stopping_does_not_wait_for_idle_connections() -> None:
    async with AsyncExitStack() as connections:
        # The client closes its connection only after the emulator has stopped; the server would keep it for 75 s.
        with anyio.move_on_after(TIMEOUT) as guard:
            async with emulator() as running:
                client = await connections.enter_async_context(connected(running.base_url, running.api_key))
                await client.get("/r/tasks")
        assert not guard.cancel_called


async def test_cancelling_the_block_stops_the_emulator_cleanly(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with emulator(data=tmp_path) as running, connected(running.base_url, running.api_key) as client:
            task_id = await client.run("text-to-image", LONG)
            await client.wait_for_status(task_id, "running")
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert not any(thread.name.startswith("emulator-agent") for thread in threading.enumerate())
    async with emulator(data=tmp_path) as again, connected(again.base_url, again.api_key) as client:
        assert (await client.get(f"/r/tasks/{task_id}"))["task_status"] == "failed"


async def test_an_exception_in_the_block_propagates() -> None:
    with pytest.raises(ZeroDivisionError):
        async with emulator():
            raise ZeroDivisionError


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, cyberun_mcp.emulator;"
        "sys.exit(', '.join({'PIL', 'starlette', 'uvicorn', 'httpx2', 'mcp', 'sqlite3'} & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
