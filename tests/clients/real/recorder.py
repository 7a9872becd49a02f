"""`recorder.py FILE COMMAND…`: run COMMAND, and copy into FILE what its client tells it."""

import contextlib
import subprocess
import sys
from pathlib import Path

with (
    Path(sys.argv[1]).open("ab", buffering=0) as record,
    subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, bufsize=0) as server,
):
    assert server.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # the server has ended; so does this
        for line in iter(sys.stdin.buffer.readline, b""):
            record.write(line)
            server.stdin.write(line)
