"""Lines to stderr: in order, never waited for, and counted where they are lost."""

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cyberun_mcp.observability import stderr
from cyberun_mcp.observability.logs import JsonFormatter
from cyberun_mcp.observability.stderr import Stderr, log_losses

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX descriptors")


def stderr_on(descriptor: int) -> Stderr:
    lines = stderr._BackgroundWriter(descriptor, lambda count: f"{ours.loss_message(count)}\n".encode())
    ours = Stderr(lines, "utf-8")
    ours.loss_message = lambda count: f"lost {count}"
    return ours


def finish(ours: Stderr) -> None:
    """Wait until its thread has nothing left to do."""
    lines = ours.buffer
    assert isinstance(lines, stderr._BackgroundWriter)
    with lines._changed:
        assert lines._changed.wait_for(lambda: not lines._size, timeout=30)


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def test_lines_come_in_order_and_none_is_lost_where_somebody_reads() -> None:
    with pipe() as (reading, writing), os.fdopen(os.dup(reading), encoding="utf-8") as reader:
        ours = stderr_on(writing)
        for number in range(500):
            print("line", number, file=ours)
        assert [reader.readline() for _ in range(500)] == [f"line {number}\n" for number in range(500)]


def test_lines_that_nobody_reads_are_dropped_and_the_next_one_says_how_many() -> None:
    with pipe() as (reading, writing), os.fdopen(os.dup(reading), encoding="utf-8") as reader:
        ours = stderr_on(writing)
        for number in range(10_000):  # more than the pipe and we take together; none of them waits
            print(f"line {number:0100}", file=ours)
        read: list[str] = []
        told = threading.Event()

        def read_all() -> None:
            for line in reader:
                read.append(line)
                if line.startswith("lost"):
                    told.set()
                if line == "last\n":
                    return

        reading_thread = threading.Thread(target=read_all)
        reading_thread.start()
        while not told.wait(0.01):
            print("again", file=ours)
        print("last", file=ours)
        reading_thread.join(30)
    [loss] = [number for number, line in enumerate(read) if line.startswith("lost")]
    assert read[:loss] == [f"line {number:0100}\n" for number in range(loss)]
    assert read[loss + 1] == "again\n"
    assert int(read[loss].split()[1]) >= 10_000 - loss > 0


def test_lines_that_fail_are_counted_exactly_and_a_disk_with_room_again_gets_the_next(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    descriptor = os.open("/dev/full", os.O_WRONLY)
    ours = stderr_on(descriptor)
    for number in range(7):
        print(number, file=ours)
        finish(ours)
    room = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(room, descriptor)
    print("there is room again", file=ours)
    print("and still", file=ours)
    finish(ours)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "lost 7\nthere is room again\nand still\n"
    os.close(room)
    os.close(descriptor)


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing() -> None:
    with pipe() as (reading, writing), os.fdopen(os.dup(reading), encoding="utf-8") as reader:
        os.set_blocking(writing, False)
        ours = stderr_on(writing)
        for number in range(2_000):
            print(f"line {number:0100}", file=ours)
        assert [reader.readline() for _ in range(2_000)] == [f"line {number:0100}\n" for number in range(2_000)]


def test_in_a_json_log_the_loss_is_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as (_, writing):
        ours = stderr_on(writing)
        monkeypatch.setattr(sys, "stderr", ours)
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        log_losses(handler)
    line = json.loads(ours.loss_message(12))
    assert line["message"] == "12 lines before this one could not be written to stderr"
    assert line["level"] == "warning"
