"""Starting and stopping the emulator: creates all components and connects them."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import httpx2

from cyberun_mcp.emulator import Emulator, seed
from cyberun_mcp.emulator.containers.gateway import ContainerGateway, running_instances
from cyberun_mcp.emulator.database import Database
from cyberun_mcp.emulator.endpoints.request import EmulatedPlatform
from cyberun_mcp.emulator.endpoints.routes import build_app
from cyberun_mcp.emulator.http_server import bound_socket, origin_of, serving
from cyberun_mcp.emulator.object_storage import ObjectStorage
from cyberun_mcp.emulator.scheduler import Scheduler
from cyberun_mcp.emulator.signed_urls import UrlSigner
from cyberun_mcp.emulator.task_events import EventBroker

# In seconds. Far longer than the services here take, and shorter than MCP clients wait for a tool.
_GATEWAY_TIMEOUT = httpx2.Timeout(30)


@asynccontextmanager
async def running_emulator(*, data: Path | None, port: int, host: str) -> AsyncIterator[Emulator]:
    """Start the components in the order of their dependencies, and stop them in the reverse order."""
    with _folder(data) as folder, bound_socket(host, port) as listening, _open_database(folder) as database:
        origin = origin_of(listening)
        main, other = seed.main_team(database.teams), seed.other_team(database.teams)
        teams = {main.id: main, other.id: other}
        storage = ObjectStorage(folder, UrlSigner(origin, database.teams.signing_secret()))
        events = EventBroker()
        async with (
            _scheduler(database, storage, events, teams) as scheduler,
            running_instances(teams) as instances,
            # Without the proxy of the environment, because all services are on loopback.
            httpx2.AsyncClient(trust_env=False, timeout=_GATEWAY_TIMEOUT) as client,
        ):
            platform = EmulatedPlatform(
                database, storage, events, scheduler, ContainerGateway(client, instances), teams
            )
            async with serving(build_app(platform), listening):
                try:
                    yield Emulator(
                        base_url=f"{origin}/api/v1",
                        team_id=main.id,
                        **vars(seed.credentials(database.teams, main, other)),
                    )
                finally:
                    events.close()
                    scheduler.stop()


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is None:
        with tempfile.TemporaryDirectory(prefix="cyberun-emulator-") as temporary:
            yield Path(temporary)
    else:
        # An existing directory keeps its mode. The database file in it, which has the keys, gets its own.
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield data


@contextmanager
def _open_database(folder: Path) -> Iterator[Database]:
    database = Database(folder / "emulator.sqlite3")
    try:
        yield database
    finally:
        database.close()


@asynccontextmanager
async def _scheduler(
    database: Database, storage: ObjectStorage, events: EventBroker, teams: dict[str, seed.Team]
) -> AsyncIterator[Scheduler]:
    database.tasks.fail_interrupted()
    scheduler = Scheduler(database.tasks, storage, events, {team.id: team.agents for team in teams.values()})
    try:
        for task in database.tasks.list_unstarted():
            entry = teams[task.team_id].workflow_by_id(task.workflow_id)
            workflow_version = entry and entry[1].version(task.version)
            if workflow_version:
                scheduler.submit(task, workflow_version)
            else:
                database.tasks.mark_ended(task.id, "failed", "the workflow of this task no longer exists")
        yield scheduler
    finally:
        with anyio.CancelScope(shield=True):
            await scheduler.close()
