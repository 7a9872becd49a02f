"""Which tasks this process has submitted, and when.

A task that was just submitted may not be found yet. It must not be mistaken for one that never existed.
"""

import secrets
from hashlib import blake2b

import anyio

from cyberun_mcp.api.credentials import Credential
from cyberun_mcp.api.models import canonical_id

LONGEST_KEPT = 3600.0  # seconds; a task that cannot be found after an hour will not appear any more
MOST_KEPT = 4_096  # about 0.7 MB


class SubmittedTasks:
    """When each task was submitted; only the caller who submitted it can read that.

    What is stored is a keyed hash of caller and task, under a secret of this process. Neither can be recovered from it.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._submitted_at: dict[bytes, float] = {}  # oldest first

    def remember(self, credential: Credential, task_id: str) -> None:
        """Record that this caller has just submitted a task."""
        now = anyio.current_time()
        digest = self._digest(credential, task_id)
        self._submitted_at.pop(digest, None)
        self._submitted_at[digest] = now
        oldest = next(iter(self._submitted_at))
        while len(self._submitted_at) > MOST_KEPT or now - self._submitted_at[oldest] > LONGEST_KEPT:
            del self._submitted_at[oldest]
            oldest = next(iter(self._submitted_at))

    def seconds_ago(self, credential: Credential, task_id: str) -> float | None:
        """How long ago this caller submitted a task here; None when it did not, or more than LONGEST_KEPT ago."""
        submitted_at = self._submitted_at.get(self._digest(credential, task_id))
        if submitted_at is None:
            return None
        age = anyio.current_time() - submitted_at
        return age if age <= LONGEST_KEPT else None

    def _digest(self, credential: Credential, task_id: str) -> bytes:
        caller_and_task = "\0".join((credential.key, credential.team_id or "", canonical_id(task_id)))
        return blake2b(caller_and_task.encode("utf-8", "replace"), key=self._secret, digest_size=16).digest()
