"""Build everything into a folder: `python -m distribution [FOLDER]`, dist/ by default."""

import sys
from pathlib import Path

import anyio

from distribution.artefacts import artefacts
from distribution.facts import facts


def build(folder: Path) -> list[Path]:
    """Write every artefact below `folder`."""
    written = []
    for name, content in artefacts(anyio.run(facts)).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        written.append(file)
    return written


if __name__ == "__main__":
    for path in build(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")):
        sys.stdout.write(f"{path}\n")
