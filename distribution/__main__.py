"""`python -m distribution [FOLDER]`: build everything into the folder, which is dist/ by default."""

import sys
from pathlib import Path

from distribution.build import build

for path in build(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")):
    sys.stdout.write(f"{path}\n")
