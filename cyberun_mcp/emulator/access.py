"""Who is calling: from the request's headers to a caller, or a refusal."""

from collections.abc import Mapping

from cyberun_mcp.emulator.database import Caller, TeamTable
from cyberun_mcp.emulator.errors import RequestRejected


def identify(headers: Mapping[str, str], teams: TeamTable) -> Caller:
    """The caller behind a request. `headers` must look names up case-insensitively."""
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
    """A user may be in several teams and has to say which; a key belongs to one, and the header is ignored."""
    if not team_id:
        raise RequestRejected(400, "missing header: X-Team-ID")
    if team_id != caller.team_id:
        raise RequestRejected(403, "you are not a member of this team")
