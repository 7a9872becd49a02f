"""The .mcpb bundle for Claude Desktop: our source and a manifest; Claude Desktop brings uv, which installs the rest."""

import io
import zipfile
from typing import Any

from cyberun_mcp.clients.description import KEY
from distribution.facts import DOCUMENTATION, HOME_PAGE, KEY_HELP, KEY_TITLE, NAME, ROOT, VENDOR, Facts
from distribution.icon import SIZE, icon

# Version 0.4 is the first with servers of type uv.
MANIFEST_VERSION = "0.4"
_SAME_DAY = (1980, 1, 1, 0, 0, 0)  # the same source gives the same bundle


def manifest(facts: Facts) -> dict[str, Any]:
    """manifest.json."""
    return {
        "manifest_version": MANIFEST_VERSION,
        "name": NAME,
        "display_name": facts.title,
        "version": facts.version,
        "description": facts.description,
        "author": {"name": VENDOR, "url": HOME_PAGE},
        "documentation": DOCUMENTATION,
        "icon": "icon.png",
        "icons": [{"src": "icon.png", "size": f"{SIZE}x{SIZE}"}],
        "server": {
            "type": "uv",
            "entry_point": "cyberun_mcp/__main__.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "--no-dev", "cyberun-mcp"],
                "env": {KEY: "${user_config.api_key}"},
            },
        },
        "tools": facts.tools,
        "tools_generated": False,
        "keywords": facts.keywords,
        "license": "MIT",
        "compatibility": {"platforms": ["darwin", "win32", "linux"], "runtimes": {"python": facts.python}},
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
    """The bundle: manifest, icon, and the package as it is here."""
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
    entry = zipfile.ZipInfo(name, _SAME_DAY)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
