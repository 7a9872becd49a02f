"""The tokens of the clients that a server with its own key lets in."""

import logging
from pathlib import Path

from cyberun_mcp.errors import ConfigurationError

logger = logging.getLogger(__name__)

_HEX_LENGTH = 64  # of a SHA-256


class ClientTokens:
    """SHA-256 hashes from a file: one per line in hex, then whatever names the client; `#` begins a comment.

    Hashes, so that who reads the file (a backup, a config repository) cannot call. `sha256sum` writes such lines.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._hashes = _read(file)

    def hashes(self) -> list[bytes]:
        """Those in force."""
        return self._hashes

    def reload(self) -> None:
        """Read the file again; a file that cannot be used changes nothing, and is logged."""
        try:
            self._hashes = _read(self._file)
        except (OSError, ConfigurationError) as error:
            logger.error("the client tokens stay as they were: %s", error)  # noqa: TRY400 - said whole in its text
        else:
            logger.info("%d client tokens in force", len(self._hashes))


def _read(file: Path) -> list[bytes]:
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    hashes = [_hash(line, number, file) for number, line in enumerate(lines, 1) if line]
    if not hashes:
        raise ConfigurationError(f"{file} names no client: it needs the SHA-256 (hex) of a token in each line.")
    return hashes


def _hash(line: str, number: int, file: Path) -> bytes:
    word = line.split()[0]
    try:
        if len(word) == _HEX_LENGTH:
            return bytes.fromhex(word)
    except ValueError:
        pass  # told below, with what else is no hash
    raise ConfigurationError(
        f'{file}, line {number}: expected the SHA-256 of a token in hex. This makes one: printf %s "$TOKEN" | sha256sum'
    )
