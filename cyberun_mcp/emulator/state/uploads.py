"""Which file keys were given out, and to whom."""

import sqlite3

from cyberun_mcp.emulator.formats import current_timestamp


class Uploads:
    """The table of presigned uploads; whether the bytes arrived is for the object storage to say."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, file_key: str, *, team_id: str, file_size: int, content_type: str) -> None:
        """Remember a key that was given out."""
        self._connection.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)",
            (file_key, team_id, file_size, content_type, current_timestamp()),
        )

    def belongs_to(self, file_key: str, team_id: str) -> bool:
        """Whether this key was given to this team."""
        row = self._connection.execute(
            "SELECT 1 FROM uploads WHERE file_key = ? AND team_id = ?", (file_key, team_id)
        ).fetchone()
        return row is not None

    def content_type(self, file_key: str) -> str | None:
        """What the uploader said the file is."""
        row = self._connection.execute("SELECT content_type FROM uploads WHERE file_key = ?", (file_key,)).fetchone()
        return str(row["content_type"]) if row else None
