"""What the endpoints have in common: who sends a request and what they may do, its JSON body, its page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from cyberun_mcp.emulator.containers.gateway import ContainerGateway
from cyberun_mcp.emulator.database import Caller, Database, TeamTable
from cyberun_mcp.emulator.errors import RequestRejected
from cyberun_mcp.emulator.object_storage import ObjectStorage
from cyberun_mcp.emulator.scheduler import Scheduler
from cyberun_mcp.emulator.seed import Team
from cyberun_mcp.emulator.task_events import EventBroker

_MAX_PER_PAGE = 100


@dataclass(frozen=True)
class EmulatedPlatform:
    """The components that endpoints use; `teams` is by team id."""

    database: Database
    storage: ObjectStorage
    events: EventBroker
    scheduler: Scheduler
    gateway: ContainerGateway
    teams: Mapping[str, Team]


@dataclass(frozen=True)
class Page:
    """One page of a list. `current_page` counts from 1."""

    current_page: int
    per_page: int

    @property
    def offset(self) -> int:
        """The number of items before this page."""
        return (self.current_page - 1) * self.per_page

    def of(self, items: Sequence[Any]) -> list[Any]:
        """The items on this page."""
        return list(items[self.offset : self.offset + self.per_page])

    def meta(self, total_count: int) -> dict[str, int]:
        """The `page_meta` field of the response."""
        return {"current_page": self.current_page, "per_page": self.per_page, "total_count": total_count}


@dataclass(frozen=True)
class ApiRequest:
    """A request with a valid credential. Its methods raise `RequestRejected`."""

    platform: EmulatedPlatform
    caller: Caller
    http: Request

    @property
    def team(self) -> Team:
        """The team of the caller. A request never gets access to another one."""
        return self.platform.teams[self.caller.team_id]

    def requested_page(self) -> Page:
        """The page in the query. 400 if it is out of the documented ranges, as nothing says that values are clamped."""
        query = self.http.query_params
        return Page(
            current_page=_positive_integer(query, "current_page", default=1, maximum=None),
            per_page=_positive_integer(query, "per_page", default=20, maximum=_MAX_PER_PAGE),
        )

    def path_parameter(self, name: str) -> str:
        """The value of a placeholder in the route."""
        return str(self.http.path_params[name])

    def require_member(self) -> None:
        """403 for viewers, who may only read."""
        if self.caller.role == "viewer":
            raise RequestRejected(403, "permission denied: your role in this team is viewer, this needs member")

    async def json_body(self) -> dict[str, Any]:
        """The JSON object in the body. 400 for anything else."""
        content = await self.http.body()
        try:
            body = json.loads(content)
            if b"\\ud" in content.lower():
                # JSON can contain half of a surrogate pair. UTF-8 cannot, so no file or database could store it.
                json.dumps(body, ensure_ascii=False).encode()
        except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested too deeply
            raise RequestRejected(400, "malformed JSON in the request body") from None
        if not isinstance(body, dict):
            raise RequestRejected(400, "the request body must be a JSON object")
        return body


def authenticate(headers: Mapping[str, str], teams: TeamTable) -> Caller:
    """The caller with the credential in the headers, whose names must be looked up case-insensitively.

    Raises `RequestRejected`: 401 without a valid credential, 400 or 403 for a user without a valid `X-Team-ID`.
    """
    scheme, _, secret = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise RequestRejected(401, "missing credential: send Authorization: Bearer <key>")
    if secret.startswith("ak-"):
        raise RequestRejected(401, "invalid credential: agent keys are for the agent gateway only")
    caller = teams.find_caller(secret.strip())
    if caller is None:
        raise RequestRejected(401, "invalid or expired credential")
    if caller.kind == "user":
        _require_own_team(caller, headers.get("X-Team-ID"))
    return caller


def _require_own_team(caller: Caller, team_id: str | None) -> None:
    # A user can be in several teams and must choose one. A key belongs to one team, so its header is ignored.
    if not team_id:
        raise RequestRejected(400, "missing header: X-Team-ID")
    if team_id != caller.team_id:
        raise RequestRejected(403, "you are not a member of this team")


def _positive_integer(query: Mapping[str, str], name: str, *, default: int, maximum: int | None) -> int:
    text = query.get(name)
    if text is None:
        return default
    # At most 9 digits, because SQLite's integers end at 2**63 and the offset is a product of two values.
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or int(text) < 1:
        raise RequestRejected(400, f"{name} must be an integer of at least 1")
    if maximum is not None and int(text) > maximum:
        raise RequestRejected(400, f"{name} must be at most {maximum}")
    return int(text)
