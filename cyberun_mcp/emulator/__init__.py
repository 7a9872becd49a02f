"""An embedded Cyberun platform: the REST API for tools, running on the CPU of this machine.

With it, a person can try the MCP server without an account, and tests need no mocks. It really runs tasks, counts
progress from finished steps, verifies uploads like S3, and has HTTP servers as containers. It never pretends to have a
GPU or an AI model.

Importing this package loads nothing else; starting an emulator imports the rest.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DataDirectoryError", "Emulator", "emulator"]


class DataDirectoryError(RuntimeError):
    """Another emulator uses the data directory, or its database is not one of this version. The message says which."""


@dataclass(frozen=True)
class Emulator:
    """The URL of a running emulator and the credentials that it accepts."""

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
    """Run an emulator in the current event loop until the block ends.

    `data` is the directory for its state; by default a temporary one, which is deleted at the end of the block.
    `port=0` takes a free port. The end of the block interrupts running tasks; the next start on the same `data` marks
    them as `failed`. Raises `DataDirectoryError`, and `OSError` when the port is in use.
    """
    from cyberun_mcp.emulator.lifecycle import running_emulator

    async with running_emulator(data=data, port=port, host=host) as emulated:
        yield emulated
