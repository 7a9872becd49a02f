"""The .mcpb bundle for Claude Desktop: our source code and a manifest. Claude Desktop installs it with uv."""

import io
import zipfile
from typing import Any

from cyberun_mcp.clients.ai_client import KEY_VARIABLE
from distribution.metadata import (
    DOCUMENTATION,
    HOME_PAGE,
    KEY_HELP,
    KEY_TITLE,
    PACKAGE_NAME,
    ROOT,
    VENDOR,
    ProjectMetadata,
)
from distribution.shared_files import ICON_SIZE, icon

MANIFEST_VERSION = "0.4"  # the first version with servers of type uv
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # so that the same source code always gives the same bundle


def manifest(metadata: ProjectMetadata) -> dict[str, Any]:
    """The content of manifest.json."""
    return {
        "manifest_version": MANIFEST_VERSION,
        "name": PACKAGE_NAME,
        "display_name": metadata.title,
        "version": metadata.version,
        "description": metadata.description,
        "author": {"name": VENDOR, "url": HOME_PAGE},
        "documentation": DOCUMENTATION,
        "icon": "icon.png",
        "icons": [{"src": "icon.png", "size": f"{ICON_SIZE}x{ICON_SIZE}"}],
        "server": {
            "type": "uv",
            "entry_point": "cyberun_mcp/__main__.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "--no-dev", "cyberun-mcp"],
                "env": {KEY_VARIABLE: "${user_config.api_key}"},
            },
        },
        "tools": metadata.tools,
        "tools_generated": False,
        "keywords": metadata.keywords,
        "license": "MIT",
        "compatibility": {"platforms": ["darwin", "win32", "linux"], "runtimes": {"python": metadata.python}},
        "user_config": {
            "api_key": {
                "type": "string",
                "title": KEY_TITLE,
                "description": KEY_HELP,
                "sensitive": True,
                "required": True,
            }
        },
    }


def bundle(manifest_json: str) -> bytes:
    """The bundle as a ZIP file: manifest, icon, and the package as it is in this repository."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "manifest.json", manifest_json.encode())
        _add(archive, "icon.png", icon())
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            _add(archive, name, (ROOT / name).read_bytes())
        for source in sorted((ROOT / "cyberun_mcp").rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                _add(archive, source.relative_to(ROOT).as_posix(), source.read_bytes())
    return file.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _FIXED_DATE)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
