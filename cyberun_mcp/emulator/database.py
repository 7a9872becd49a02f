"""The SQLite file that keeps the state over restarts: its schema, its lock, and all tables but the one of tasks."""

import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from cyberun_mcp.emulator import DataDirectoryError
from cyberun_mcp.emulator.formats import current_timestamp, new_id, new_key
from cyberun_mcp.emulator.task_table import TaskTable

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE teams (label TEXT PRIMARY KEY, id TEXT NOT NULL);
CREATE TABLE credentials (
    secret TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, team_id TEXT NOT NULL, kind TEXT NOT NULL, role TEXT NOT NULL
);
CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE named (
    team_id TEXT NOT NULL, noun TEXT NOT NULL, slug TEXT NOT NULL, id TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL,
    PRIMARY KEY (team_id, noun, slug)
);
CREATE TABLE tasks (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, team_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL, workflow_slug TEXT NOT NULL, version INTEGER NOT NULL, parameters TEXT NOT NULL,
    origin TEXT NOT NULL, dispatch_target TEXT NOT NULL, target_pool TEXT NOT NULL, submitter_region TEXT,
    tool_type TEXT NOT NULL, task_status TEXT NOT NULL, task_error TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL, started_at TEXT, completed_at TEXT, agent_id TEXT, agent_labels TEXT, gateway_id TEXT,
    gpu_type TEXT, task_output TEXT, outputs TEXT
);
CREATE INDEX tasks_by_team ON tasks (team_id, sequence, task_status);
CREATE TABLE uploads (
    file_key TEXT PRIMARY KEY, team_id TEXT NOT NULL, file_size INTEGER NOT NULL, content_type TEXT NOT NULL,
    created_at TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class Caller:
    """Who sent a request, according to its credential."""

    team_id: str
    kind: str
    """`integration` (`sk-`), `device` (`dk-`) or `user` (a JWT)."""
    role: str
    """`member` or `viewer`. Integration keys have no role on the platform and the permissions of a member."""

    @property
    def origin(self) -> str:
        """The `task_origin` of the tasks that this caller creates."""
        return "jwt" if self.kind == "user" else "api_key"


@dataclass(frozen=True)
class Registration:
    """The stable id of a workflow or service in one team, and when the team first had it."""

    id: str
    created_at: str


class TeamTable:
    """Teams, their credentials, and the ids of what they own. All are created on first use."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def team_id(self, label: str) -> str:
        """The id of the team with this label."""
        self._connection.execute("INSERT OR IGNORE INTO teams VALUES (?, ?)", (label, new_id()))
        row = self._connection.execute("SELECT id FROM teams WHERE label = ?", (label,)).fetchone()
        return str(row["id"])

    def credential(self, name: str, *, prefix: str, team_id: str, kind: str, role: str) -> str:
        """The secret of the credential with this name.

        It is stored in clear text because every start prints it again. Only the owner can read the file.
        """
        self._connection.execute(
            "INSERT OR IGNORE INTO credentials VALUES (?, ?, ?, ?, ?)", (new_key(prefix), name, team_id, kind, role)
        )
        row = self._connection.execute("SELECT secret FROM credentials WHERE name = ?", (name,)).fetchone()
        return str(row["secret"])

    def find_caller(self, secret: str) -> Caller | None:
        """The caller with this secret."""
        row = self._connection.execute(
            "SELECT team_id, kind, role FROM credentials WHERE secret = ?", (secret,)
        ).fetchone()
        return Caller(**row) if row else None

    def signing_secret(self) -> str:
        """The key that signs object storage URLs; stored so that a URL stays valid after a restart."""
        self._connection.execute("INSERT OR IGNORE INTO secrets VALUES ('storage', ?)", (secrets.token_hex(20),))
        return str(self._connection.execute("SELECT value FROM secrets WHERE name = 'storage'").fetchone()["value"])

    def registration(self, team_id: str, noun: str, slug: str) -> Registration:
        """The id and creation time of a team's workflow or service; `noun` is `workflow` or `service`."""
        self._connection.execute(
            "INSERT OR IGNORE INTO named VALUES (?, ?, ?, ?, ?)", (team_id, noun, slug, new_id(), current_timestamp())
        )
        row = self._connection.execute(
            "SELECT id, created_at FROM named WHERE team_id = ? AND noun = ? AND slug = ?", (team_id, noun, slug)
        ).fetchone()
        return Registration(**row)


class UploadTable:
    """Presigned uploads. Whether a file was really uploaded, only the object storage knows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def insert(self, file_key: str, *, team_id: str, file_size: int, content_type: str) -> None:
        """Record a presigned upload."""
        self._connection.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)",
            (file_key, team_id, file_size, content_type, current_timestamp()),
        )

    def belongs_to(self, file_key: str, team_id: str) -> bool:
        """Whether the upload with this key was presigned for this team."""
        row = self._connection.execute(
            "SELECT 1 FROM uploads WHERE file_key = ? AND team_id = ?", (file_key, team_id)
        ).fetchone()
        return row is not None

    def content_type(self, file_key: str) -> str | None:
        """The content type declared for this upload."""
        row = self._connection.execute("SELECT content_type FROM uploads WHERE file_key = ?", (file_key,)).fetchone()
        return str(row["content_type"]) if row else None


class Database:
    """An open database file. Raises `DataDirectoryError` if it is in use or was not written by this version.

    Queries run directly on the event loop: on two slow cores an insert or update takes 0.02 ms, and a page of twenty
    out of 2,000 tasks 0.3 ms (write-ahead log, `synchronous=NORMAL`). A round trip to a thread would cost more.
    """

    def __init__(self, file: Path) -> None:
        file.touch(mode=0o600)  # it has keys in it; SQLite gives the -wal file the same mode
        # Autocommit: every statement here is a complete transaction.
        self._connection = sqlite3.connect(file, isolation_level=None, timeout=0.5)
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare(file)
        except BaseException:
            self._connection.close()
            raise
        self.teams = TeamTable(self._connection)
        self.tasks = TaskTable(self._connection)
        self.uploads = UploadTable(self._connection)

    def close(self) -> None:
        """Write the log back into the file and unlock it."""
        self._connection.close()

    def _prepare(self, file: Path) -> None:
        try:
            # Locked until close: a second emulator on this data would mark the running tasks of the first as failed.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
            # Takes the write lock immediately rather than with the first task.
            self._connection.executescript("BEGIN IMMEDIATE; COMMIT;")
        except sqlite3.OperationalError as error:
            raise DataDirectoryError(f"{file.parent} is in use by another emulator ({error})") from error
        except sqlite3.DatabaseError as error:
            raise DataDirectoryError(f"{file} is not an emulator database ({error})") from error
        if version not in (0, _SCHEMA_VERSION):
            raise DataDirectoryError(f"{file} was written by another version of the emulator; use a new directory")
