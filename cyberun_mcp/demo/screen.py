"""The terminal output of the demo: lines of text, and a progress bar that moves while a task runs."""

import io
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cyberun_mcp import __version__
from cyberun_mcp.demo.files import SavedFile

MAX_WIDTH = 110  # in columns; longer lines are hard to read
_TOOL_WIDTH = len("list_container_services")
_BAR_WIDTH = 20
ShowProgress = Callable[[float, str], None]
"""Called with the progress from 0 to 1 and the text beside the bar."""


def next_steps(command: str) -> list[tuple[str, str]]:
    """Pairs of a purpose and the command to type, to connect a real client to the server that `command` starts."""
    quoted = shlex.quote(command)
    cursor = {"mcpServers": {"cyberun": {"command": command, "args": ["--emulator"]}}}
    return [
        ("Claude Code, emulator", f"claude mcp add cyberun -- {quoted} --emulator"),
        ("Claude Code, your account", f"claude mcp add cyberun --env CYBERUN_API_KEY=YOUR_KEY -- {quoted}"),
        ("Cursor, .cursor/mcp.json", json.dumps(cursor)),
        ("Any client, stdio", f"{quoted} --emulator"),
        ("Any client, HTTP", f"{quoted} http --emulator"),
    ]


def _command() -> str:
    """`cyberun-mcp`, or its path if the shell does not find it because the virtual environment is not activated."""
    return "cyberun-mcp" if shutil.which("cyberun-mcp") else str(Path(sys.executable).with_name("cyberun-mcp"))


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """The reader has closed the pipe (`| head`). Raise `BrokenPipeError`, which ends the demo like any OSError."""
        try:
            super().on_broken_pipe()
        except SystemExit:  # rich would exit in the middle of the task groups
            raise BrokenPipeError from None


class Screen:
    """Writes to stdout, and records the lines for `save`."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # some Windows code pages have no ✓
        self._console = _Terminal(highlight=False, markup=False, emoji=False)
        if not self._console.is_terminal or self._console.width > MAX_WIDTH:
            self._console.width = MAX_WIDTH
        self._recording = Console(
            highlight=False,
            markup=False,
            emoji=False,
            record=True,
            width=MAX_WIDTH,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
            legacy_windows=False,
        )
        self._is_animated = self._console.is_terminal and not self._console.is_dumb_terminal
        self._tick = "✓" if self._console.encoding.lower().startswith("utf") else "+"

    def show_title(self) -> None:
        """Show the title."""
        self._show(Text(f"cyberun-mcp {__version__}: fifteen tools, on an embedded platform without a GPU", "bold"))
        self._show(Text())

    def show_prompt(self, text: str) -> None:
        """Show what the user says to the AI client."""
        self._show(Text())
        self._show(Text(f"You: {text}", "bold cyan"))

    def show_result(self, tool: str, text: str) -> None:
        """Show the result of a tool call."""
        self._show(self._row(tool, Text(text)))

    @contextmanager
    def live_progress(self, tool: str) -> Iterator[ShowProgress]:
        """Show a progress bar during the block. Yields the function that updates it."""
        if not self._is_animated:
            yield lambda progress, text: None
            return
        with Live(console=self._console, transient=True, auto_refresh=False) as live:
            yield lambda progress, text: live.update(self._row(tool, self._bar(progress, text), mark=" "), refresh=True)

    def show_progress(self, tool: str, progress: float | None, text: str) -> None:
        """Show the text, and the bar in its final position if there was any progress."""
        self._show(self._row(tool, Text(text) if progress is None else self._bar(progress, text)))

    def show_task_error(self, text: str) -> None:
        """Show the error of a failed task."""
        self._show(self._row("", Text(text, "yellow"), mark=" "))

    def show_files(self, files: Sequence[SavedFile]) -> None:
        """Show the saved files. Paths are not wrapped, so that they can be copied."""
        self._show(Text("\nFiles on disk", "bold cyan"))
        for file in files:
            line = Text(f"  {file.kind:18}  {file.size / 1000:5,.0f} kB  ").append(str(file.path), "green")
            self._show(line, wrap=False)

    def show_next_steps(self) -> None:
        """Show how to connect a real client."""
        self._show(Text("\nWhat to type next", "bold cyan"))
        for purpose, command in next_steps(_command()):
            self._show(Text(f"  {purpose:27}").append(command, "green"), wrap=False)

    def show_stopped(self) -> None:
        """Show that the user has stopped the demo."""
        self._show(Text("\nStopped. The server and its platform are stopped too.", "bold"))

    def show_failure(self, problem: str, log: Sequence[str]) -> None:
        """Show what went wrong and the last lines of the server's log."""
        self._show(Text(f"\nThe demo failed: {problem}", "bold red"))
        if log:
            self._show(Text("The server's last words:\n" + "\n".join(log), "dim"))

    def save(self, picture: Path) -> None:
        """Write all lines shown so far to an SVG file."""
        self._recording.save_svg(str(picture), title="cyberun-mcp demo")

    def _bar(self, progress: float, text: str) -> Table:
        bar, line = Table.grid(padding=(0, 1)), Text(text, no_wrap=True, overflow="ellipsis")
        bar.add_row(ProgressBar(total=1, completed=progress, width=_BAR_WIDTH, complete_style="cyan"), line)
        return bar

    def _row(self, tool: str, content: RenderableType, mark: str = "") -> Table:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=1)
        row.add_column(width=_TOOL_WIDTH, no_wrap=True)
        row.add_column()
        row.add_row(Text(mark or self._tick, "green"), Text(tool, "magenta"), content)
        return row

    def _show(self, content: RenderableType, *, wrap: bool = True) -> None:
        for console in (self._console, self._recording):
            console.print(content, soft_wrap=not wrap)
