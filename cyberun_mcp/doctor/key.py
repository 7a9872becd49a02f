"""The key: its family, its shape, and who can read the file it is in."""

import stat
import sys
from pathlib import Path

from cyberun_mcp.api.credentials import WHERE_KEYS_COME_FROM, Credential, credential_from
from cyberun_mcp.doctor.findings import Finding, error, ok, warning
from cyberun_mcp.errors import ConfigurationError
from cyberun_mcp.settings import Settings

SHORTEST = 20  # characters; every key we have seen has more than thirty

_FAMILIES = {"sk-": "integration key", "dk-": "device key", "eyJ": "user's JWT"}


def check_key(settings: Settings) -> tuple[Finding, Credential | None]:
    """What the key is, and the credential it makes, if it does."""
    try:
        credential = credential_from(settings.api_key, settings.team_id)
    except ConfigurationError as failure:
        said, _, todo = str(failure).partition(". ")
        return error("key", f"{said}.", todo or f"Get a key at {WHERE_KEYS_COME_FROM}."), None
    family = next(name for beginning, name in _FAMILIES.items() if credential.key.startswith(beginning))
    size = len(credential.key)
    if size < SHORTEST:
        todo = f"Copy it again, whole; or create another at {WHERE_KEYS_COME_FROM}."
        return error("key", f"{family} of {size} characters, too short to be whole", todo), credential
    if credential.key[0] == "d":
        todo = f"For AI clients an integration key is meant: {WHERE_KEYS_COME_FROM}."
        return warning("key", f"{family} ({credential.key[:3]}…), {size} characters", todo), credential
    return ok("key", f"{family} ({credential.key[:3]}…), {size} characters"), credential


def check_key_file(file: Path | None) -> list[Finding]:
    """Whether others can read the key's file; nothing where there is no such file."""
    if file is None or sys.platform == "win32":
        return []
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        return [warning("key file", f"other users of this machine can read {file}", f"chmod 600 {file}")]
    return [ok("key file", f"{file}, readable by its owner alone")]
