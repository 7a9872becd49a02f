"""Where things are on this machine: a client's file, and the client itself."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cyberun_mcp.clients.description import Client


@dataclass(frozen=True)
class Machine:
    """The system as far as clients' files are concerned; tests make their own."""

    home: Path = field(default_factory=Path.home)
    platform: str = sys.platform
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    folder: Path = field(default_factory=Path.cwd)

    def file_of(self, client: Client) -> Path | None:
        """The file to edit: the first that exists, else the usual one. None for a client that has none."""
        if client.file is None:
            return None
        usual = client.file if isinstance(client.file, str) else client.file.get(self.platform, client.file.get("", ""))
        places = [self._path(each) for each in (usual, *client.also)]
        return next((each for each in places if each.exists()), places[0])

    def files_of(self, client: Client) -> list[Path]:
        """The files in which a server may stand: the user's, and the project's in the present folder."""
        user = self.file_of(client)
        project = self.folder / client.project if client.project else None
        return [each for each in (user, project) if each is not None]

    def has(self, client: Client) -> bool:
        """Whether the client seems to be installed: its command, its file, or the folder of its file is there."""
        if client.program and shutil.which(client.program, path=self.environ.get("PATH", "")):
            return True
        file = self.file_of(client)
        if file is None:
            return False
        return file.exists() or (file.parent.is_dir() and file.parent != self.home)

    def _path(self, place: str) -> Path:
        config = {
            "win32": self.environ.get("APPDATA") or str(self.home / "AppData" / "Roaming"),
            "darwin": str(self.home / "Library" / "Application Support"),
        }.get(self.platform, self._xdg)
        return Path(place.replace("~", str(self.home), 1).format(config=config, xdg=self._xdg))

    @property
    def _xdg(self) -> str:
        return self.environ.get("XDG_CONFIG_HOME") or str(self.home / ".config")


def own_command() -> tuple[str, ...]:
    """This program, by a path that works wherever a client is started from: not all of them see the shell's PATH."""
    found = shutil.which("cyberun-mcp", path=str(Path(sys.executable).parent)) or shutil.which("cyberun-mcp")
    return (found,) if found else (sys.executable, "-m", "cyberun_mcp")
