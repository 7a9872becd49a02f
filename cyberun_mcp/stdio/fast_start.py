"""The console script. It answers a client's handshake with the standard library alone, while a thread loads the SDK.

Loading takes a third of a second, and every client waits for `initialize` and `tools/list` whenever it starts. What is
answered here is what the SDK would answer, byte for byte (`make snapshot`). It stops at the first message it cannot
answer with certainty, and when loading is done. Then the command takes over the pipes, with the handshake as it stands.
"""

import gc
import os
import select
import signal
import sys
import threading
from typing import NoReturn

from cyberun_mcp import process  # noqa: F401 - notes our parent, before that can change
from cyberun_mcp.observability.stderr import never_wait_for_stderr
from cyberun_mcp.pipes.claim import StdioPipes, claim_stdio, write_all
from cyberun_mcp.stdio.handshake import answer_to
from cyberun_mcp.stdio.snapshot import Answers, find_snapshot
from cyberun_mcp.stdio.standard_start import is_standard

LONGEST_LINE = 64 * 1024  # bytes; no handshake is longer


def main() -> NoReturn:
    """Run `cyberun-mcp`."""
    never_wait_for_stderr()
    arguments = sys.argv[1:]
    answers = find_snapshot() if is_standard(arguments, os.environ) else None
    pipes = claim_stdio() if answers else None
    if answers and pipes:
        _answer_while_loading(pipes, answers, emulator="--emulator" in arguments)
    from cyberun_mcp.cli import main as command

    command(pipes)


def _answer_while_loading(pipes: StdioPipes, answers: Answers, *, emulator: bool) -> None:
    """Answer the client's messages, until one is not certain or everything is loaded."""
    loaded, end_of_loading = os.pipe()
    loading = threading.Thread(target=_load, args=[end_of_loading, emulator], daemon=True)
    loading.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os._exit(130 if number == signal.SIGINT else 0))
    while _answer_lines(pipes, answers) and loaded not in select.select([pipes.reading, loaded], [], [])[0]:
        data = os.read(pipes.reading, LONGEST_LINE)
        if not data and not pipes.buffered:
            os._exit(0)
        pipes.buffered += data or b"\n"
    loading.join()


def _load(end_of_loading: int, emulator: bool) -> None:
    gc.disable()  # until `load_stdio` is through, which says why
    try:
        from cyberun_mcp.cli import load_stdio

        load_stdio(emulator=emulator)
    finally:
        os.close(end_of_loading)


def _answer_lines(pipes: StdioPipes, answers: Answers) -> bool:
    """Answer the buffered lines; whether more of them may be answered here."""
    while b"\n" in pipes.buffered:
        line, _, rest = pipes.buffered.partition(b"\n")
        answer = answer_to(line, pipes, answers)
        if answer is None:
            return False
        try:
            write_all(pipes.writing, answer)
        except OSError:  # the client reads no more
            os._exit(0)
        pipes.buffered = rest
    return len(pipes.buffered) < LONGEST_LINE
