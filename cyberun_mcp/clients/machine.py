"""Where the AI clients and their configuration files are on this machine."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cyberun_mcp.clients.ai_client import AiClient


@dataclass(frozen=True)
class Machine:
    """The parts of the system that decide where the clients' files are. Tests create their own."""

    home: Path = field(default_factory=Path.home)
    platform: str = sys.platform
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    project_folder: Path = field(default_factory=Path.cwd)

    def config_file(self, client: AiClient) -> Path | None:
        """The user's file: the first path that exists, or else the default one. None if the client has no file."""
        if client.config_file is None:
            return None
        paths = client.config_file
        default = paths if isinstance(paths, str) else paths.get(self.platform, paths.get("", ""))
        candidates = [self._expand(path) for path in (default, *client.other_config_files)]
        return next((path for path in candidates if path.exists()), candidates[0])

    def config_files(self, client: AiClient) -> list[Path]:
        """All files that can hold a server: the user's, and the one of the project in the current folder."""
        user = self.config_file(client)
        project = self.project_folder / client.project_file if client.project_file else None
        return [file for file in (user, project) if file is not None]

    def has(self, client: AiClient) -> bool:
        """Whether the client seems to be installed: its command, its file or the folder of its file exists."""
        if client.executable and shutil.which(client.executable, path=self.environ.get("PATH", "")):
            return True
        file = self.config_file(client)
        if file is None:
            return False
        return file.exists() or (file.parent.is_dir() and file.parent != self.home)

    def _expand(self, path: str) -> Path:
        config = {
            "win32": self.environ.get("APPDATA") or str(self.home / "AppData" / "Roaming"),
            "darwin": str(self.home / "Library" / "Application Support"),
        }.get(self.platform, self._xdg)
        return Path(path.replace("~", str(self.home), 1).format(config=config, xdg=self._xdg))

    @property
    def _xdg(self) -> str:
        return self.environ.get("XDG_CONFIG_HOME") or str(self.home / ".config")


def own_command() -> tuple[str, ...]:
    """The command that starts this program, by its absolute path: not every client has the PATH of the shell."""
    found = shutil.which("cyberun-mcp", path=str(Path(sys.executable).parent)) or shutil.which("cyberun-mcp")
    return (found,) if found else (sys.executable, "-m", "cyberun_mcp")
