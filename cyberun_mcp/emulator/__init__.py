"""An embedded Cyberun platform: the runtime REST surface, running for real on this machine's CPU.

It lets a person try the MCP server without an account, and lets tests talk to a platform instead of to mocks. What it
says it does it does: tasks run, progress is counted from finished steps, uploads are checked as S3 checks them, and
containers are HTTP servers. What it is not, it says too: there is no GPU and no AI model in here.

Importing this package loads nothing else; the platform is imported when one is started.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DataDirectoryError", "Emulator", "emulator"]


class DataDirectoryError(RuntimeError):
    """The data directory cannot be used: another emulator has it, or it is not one's own. The message says which."""


@dataclass(frozen=True)
class Emulator:
    """Where a running emulator listens, and the credentials it accepts."""

    base_url: str
    """The REST base, for example `http://127.0.0.1:8787/api/v1`."""
    api_key: str
    """Integration key (`sk-`) of the main team."""
    viewer_key: str
    """Device key (`dk-`) of a viewer in the main team: may read, may not run, cancel, upload or invoke."""
    other_team_key: str
    """Integration key (`sk-`) of a second team, which sees none of the main team's data."""
    jwt: str
    """A user token of the main team; it needs the header `X-Team-ID: <team_id>`."""
    team_id: str
    """Id of the main team."""


@asynccontextmanager
async def emulator(*, data: Path | None = None, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[Emulator]:
    """Run a platform in the current event loop until the block ends.

    `data` is where it keeps its state; without it the state lives in a temporary directory that goes with the block.
    `port=0` takes a free port. Tasks still running when the block ends are interrupted, and found `failed` at the next
    start on the same `data`. Raises `DataDirectoryError`, and `OSError` when the port is taken.
    """
    from cyberun_mcp.emulator.lifecycle import running_emulator

    async with running_emulator(data=data, port=port, host=host) as emulated:
        yield emulated
