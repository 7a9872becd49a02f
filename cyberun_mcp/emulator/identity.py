"""Ids, keys and timestamps in the platform's formats."""

import secrets
import string
import time
from datetime import UTC, datetime
from uuid import UUID

_ALPHABET = string.ascii_letters + string.digits


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then chance. Python 3.14 brings its own."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(UUID(int=value))


def new_key(prefix: str) -> str:
    """A credential of the given family: `sk-`, `dk-` or `eyJ`."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(40))


def now() -> str:
    """The current time as the platform writes it: RFC 3339, UTC, whole seconds."""
    return timestamp(time.time())


def timestamp(seconds: float) -> str:
    """A Unix time as the platform writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
