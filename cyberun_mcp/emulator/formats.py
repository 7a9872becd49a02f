"""Ids, keys and timestamps in the formats the platform uses."""

import secrets
import string
import time
from datetime import UTC, datetime
from uuid import UUID

_ALPHABET = string.ascii_letters + string.digits


def new_id() -> str:
    """A new UUID of version 7 (RFC 9562): 48 bits of Unix milliseconds, the rest random.

    The standard library has `uuid7` only from Python 3.14 on.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(UUID(int=value))


def new_key(prefix: str) -> str:
    """A new random credential with a prefix: `sk-`, `dk-`, or the first two parts of a JWT."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(40))


def current_timestamp() -> str:
    """The current time as the platform writes it: RFC 3339, UTC, whole seconds."""
    return format_timestamp(time.time())


def format_timestamp(seconds: float) -> str:
    """A Unix time in seconds as the platform writes it, for example `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
