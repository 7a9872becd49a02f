"""The tasks that this process has submitted: one that cannot be found yet is told from one that never was."""

import secrets
from hashlib import blake2b

import anyio

from cyberun_mcp.api.credentials import Credential
from cyberun_mcp.api.models import canonical

LONGEST_KEPT = 3600.0  # seconds; a task that cannot be found after an hour will not appear any more
MOST_KEPT = 4_096  # about 0.7 MB


class Submissions:
    """When each task was submitted, told only to the caller who submitted it.

    What is kept is a keyed hash of caller and task, under a secret of this process, so neither can be read out of it.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._submitted_at: dict[bytes, float] = {}  # oldest first

    def remember(self, credential: Credential, task_id: str) -> None:
        """Note that this caller has just submitted a task."""
        now = anyio.current_time()
        mark = self._mark(credential, task_id)
        self._submitted_at.pop(mark, None)
        self._submitted_at[mark] = now
        oldest = next(iter(self._submitted_at))
        while len(self._submitted_at) > MOST_KEPT or now - self._submitted_at[oldest] > LONGEST_KEPT:
            del self._submitted_at[oldest]
            oldest = next(iter(self._submitted_at))

    def seconds_ago(self, credential: Credential, task_id: str) -> float | None:
        """How long ago this caller submitted a task here; None when it did not, or too long ago."""
        submitted_at = self._submitted_at.get(self._mark(credential, task_id))
        if submitted_at is None:
            return None
        age = anyio.current_time() - submitted_at
        return age if age <= LONGEST_KEPT else None

    def _mark(self, credential: Credential, task_id: str) -> bytes:
        caller = "\0".join((credential.key, credential.team_id or "", canonical(task_id)))
        return blake2b(caller.encode("utf-8", "replace"), key=self._secret, digest_size=16).digest()
