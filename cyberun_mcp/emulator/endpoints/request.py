"""The parts of a running platform, and one authenticated call on them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from cyberun_mcp.emulator.containers.gateway import ContainerGateway
from cyberun_mcp.emulator.database import Caller, Database
from cyberun_mcp.emulator.errors import RequestRejected
from cyberun_mcp.emulator.object_storage import ObjectStorage
from cyberun_mcp.emulator.scheduler import Scheduler
from cyberun_mcp.emulator.seed import Team
from cyberun_mcp.emulator.task_events import EventBroker


@dataclass(frozen=True)
class Platform:
    """Everything an endpoint may need."""

    database: Database
    storage: ObjectStorage
    events: EventBroker
    scheduler: Scheduler
    gateway: ContainerGateway
    teams: Mapping[str, Team]


@dataclass(frozen=True)
class Call:
    """One request of a known caller."""

    platform: Platform
    caller: Caller
    request: Request

    @property
    def team(self) -> Team:
        """The caller's team: the only one whose things this call can see."""
        return self.platform.teams[self.caller.team_id]

    def path(self, name: str) -> str:
        """A variable of the path."""
        return str(self.request.path_params[name])

    def require_member(self) -> None:
        """Refuse viewers, who may only read."""
        if self.caller.role == "viewer":
            raise RequestRejected(403, "permission denied: your role in this team is viewer, this needs member")

    async def body(self) -> dict[str, Any]:
        """The JSON object in the request's body."""
        content = await self.request.body()
        try:
            body = json.loads(content)
            if b"\\ud" in content.lower():
                # Half of a surrogate pair may stand in JSON, but not in UTF-8: not in a file, nor in the database.
                json.dumps(body, ensure_ascii=False).encode()
        except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
            raise RequestRejected(400, "malformed JSON in the request body") from None
        if not isinstance(body, dict):
            raise RequestRejected(400, "the request body must be a JSON object")
        return body
