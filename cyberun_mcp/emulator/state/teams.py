"""Teams, their credentials, and the ids of what they own."""

import secrets
import sqlite3
from dataclasses import dataclass

from cyberun_mcp.emulator.formats import current_timestamp, new_id, new_key


@dataclass(frozen=True)
class Caller:
    """Whom a credential speaks for."""

    team_id: str
    kind: str
    """`integration` (`sk-`), `device` (`dk-`) or `user` (a JWT)."""
    role: str
    """`member` or `viewer`; integration keys stand outside the roles and have all a member has."""

    @property
    def origin(self) -> str:
        """How a task this caller creates came about, as the task object tells it."""
        return "jwt" if self.kind == "user" else "api_key"


@dataclass(frozen=True)
class Named:
    """Something a team owns under a slug: the id that stays over restarts, and since when."""

    id: str
    created_at: str


class Teams:
    """The tables of teams, credentials and named things."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def team_id(self, label: str) -> str:
        """The id of the team with this label, made on the first start."""
        self._connection.execute("INSERT OR IGNORE INTO teams VALUES (?, ?)", (label, new_id()))
        row = self._connection.execute("SELECT id FROM teams WHERE label = ?", (label,)).fetchone()
        return str(row["id"])

    def credential(self, name: str, *, prefix: str, team_id: str, kind: str, role: str) -> str:
        """The secret of the credential with this name, made on the first start.

        It is stored in clear because the emulator has to print it again; the data directory is closed to other users.
        """
        self._connection.execute(
            "INSERT OR IGNORE INTO credentials VALUES (?, ?, ?, ?, ?)", (new_key(prefix), name, team_id, kind, role)
        )
        row = self._connection.execute("SELECT secret FROM credentials WHERE name = ?", (name,)).fetchone()
        return str(row["secret"])

    def caller(self, secret: str) -> Caller | None:
        """Whom this secret speaks for, if it is one of ours."""
        row = self._connection.execute(
            "SELECT team_id, kind, role FROM credentials WHERE secret = ?", (secret,)
        ).fetchone()
        return Caller(**row) if row else None

    def signing_secret(self) -> str:
        """The object storage's own secret; links signed before a restart stay good after it."""
        self._connection.execute("INSERT OR IGNORE INTO secrets VALUES ('storage', ?)", (secrets.token_hex(20),))
        return str(self._connection.execute("SELECT value FROM secrets WHERE name = 'storage'").fetchone()["value"])

    def named(self, team_id: str, noun: str, slug: str) -> Named:
        """The id of a team's workflow or service, made the first time the team has it."""
        self._connection.execute(
            "INSERT OR IGNORE INTO named VALUES (?, ?, ?, ?, ?)", (team_id, noun, slug, new_id(), current_timestamp())
        )
        row = self._connection.execute(
            "SELECT id, created_at FROM named WHERE team_id = ? AND noun = ? AND slug = ?", (team_id, noun, slug)
        ).fetchone()
        return Named(**row)
