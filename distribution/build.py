"""All files that `make dist` builds, by their path under dist/."""

import json
from pathlib import Path

import anyio

from distribution.install_links import install_links
from distribution.mcp_registry import server_json
from distribution.mcpb import bundle, manifest
from distribution.metadata import PACKAGE_NAME, ProjectMetadata, read_metadata
from distribution.plugins import claude_code_marketplace, gemini_extension
from distribution.shared_files import icon


def build(folder: Path) -> list[Path]:
    """Write all files below `folder`; returns their paths."""
    written = []
    for name, content in artifacts(anyio.run(read_metadata)).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        written.append(file)
    return written


def artifacts(metadata: ProjectMetadata) -> dict[str, str | bytes]:
    """The content of all files, by their path."""
    manifest_json = _to_json(manifest(metadata))
    return {
        f"{PACKAGE_NAME}-{metadata.version}.mcpb": bundle(manifest_json),
        "mcpb/manifest.json": manifest_json,
        "mcpb/icon.png": icon(),
        "server.json": _to_json(server_json(metadata)),
        "install-links.json": _to_json(install_links()),
        **{f"claude-code/{name}": content for name, content in claude_code_marketplace(metadata).items()},
        **{f"gemini-extension/{name}": content for name, content in gemini_extension(metadata).items()},
    }


def _to_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
