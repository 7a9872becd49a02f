"""The tokens of the clients that a server with its own key lets in."""

import codecs
import logging
import stat
from pathlib import Path

from cyberun_mcp.errors import ConfigurationError

logger = logging.getLogger(__name__)

LARGEST_FILE = 2**20  # bytes: more than 10,000 tokens; a larger file is not a list of tokens

_HEX_LENGTH = 64  # of a SHA-256
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # as Windows PowerShell writes them


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

    def reload(self) -> bool:
        """Read the file again, and return whether it could be used; if not, nothing changes and the log says why."""
        try:
            self._hashes = _read(self._file)
        except ConfigurationError as error:
            logger.error("the client tokens stay as they were: %s", error)  # noqa: TRY400 - said whole in its text
            return False
        logger.info("%d client tokens in force", len(self._hashes))
        return True


def _read(file: Path) -> list[bytes]:
    """The hashes in the file. Raises ConfigurationError, whatever is wrong with the file, and never quotes it."""
    lines = (line.partition("#")[0].strip() for line in _text_of(file).splitlines())
    hashes = [_hash(line, number, file) for number, line in enumerate(lines, 1) if line]
    if not hashes:
        raise ConfigurationError(f"{file} names no client: it needs the SHA-256 (hex) of a token in each line.")
    return hashes


def _text_of(file: Path) -> str:
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # reading a pipe can block forever, and a device may have no end
            raise ConfigurationError(f"{file} is not a regular file.")
        with file.open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise ConfigurationError(f"{file} is larger than {LARGEST_FILE // 2**20} MiB.")
        return data.decode("utf-16" if data.startswith(_UTF_16_MARKS) else "utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror or error}.") from error
    except ValueError:
        raise ConfigurationError(f"{file} is not UTF-8 text.") from None  # the decoder's own words quote the file


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
