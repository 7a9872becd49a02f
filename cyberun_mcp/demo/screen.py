"""What the demo shows: quiet lines that stay, and one progress bar that moves while a task runs."""

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

WIDEST = 110  # columns; longer lines are hard to read
_TOOL_WIDTH = len("list_container_services")
_BAR_WIDTH = 20
Show = Callable[[float, str], None]


def next_steps(command: str) -> list[tuple[str, str]]:
    """What to type to connect a real client to the server that `command` starts, by purpose."""
    typed = shlex.quote(command)
    cursor = {"mcpServers": {"cyberun": {"command": command, "args": ["--emulator"]}}}
    return [
        ("Claude Code, emulator", f"claude mcp add cyberun -- {typed} --emulator"),
        ("Claude Code, your account", f"claude mcp add cyberun --env CYBERUN_API_KEY=YOUR_KEY -- {typed}"),
        ("Cursor, .cursor/mcp.json", json.dumps(cursor)),
        ("Any client, stdio", f"{typed} --emulator"),
        ("Any client, HTTP", f"{typed} http --emulator"),
    ]


def _command() -> str:
    """The name of the command, or where it is when the shell does not know it: in an environment not activated."""
    return "cyberun-mcp" if shutil.which("cyberun-mcp") else str(Path(sys.executable).with_name("cyberun-mcp"))


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Whoever read along has seen enough (`| head`): say no more, and end as after any other OSError."""
        try:
            super().on_broken_pipe()
        except SystemExit:  # rich would end the process from within the task groups
            raise BrokenPipeError from None


class Screen:
    """A terminal, or whatever stdout is; and the picture of it, which holds the lines that stay."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a Windows code page may lack a tick
        self._console = _Terminal(highlight=False, markup=False, emoji=False)
        if not self._console.is_terminal or self._console.width > WIDEST:
            self._console.width = WIDEST
        self._picture = Console(
            highlight=False,
            markup=False,
            emoji=False,
            record=True,
            width=WIDEST,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
            legacy_windows=False,
        )
        self._moves = self._console.is_terminal and not self._console.is_dumb_terminal
        self._tick = "✓" if self._console.encoding.lower().startswith("utf") else "+"

    def title(self) -> None:
        """What this is."""
        self._show(Text(f"cyberun-mcp {__version__}: fifteen tools, on an embedded platform without a GPU", "bold"))
        self._show(Text())

    def user(self, words: str) -> None:
        """What the user asks of their assistant."""
        self._show(Text())
        self._show(Text(f"You: {words}", "bold cyan"))

    def did(self, tool: str, words: str) -> None:
        """A tool was called; what came of it, in one line or few."""
        self._show(self._row(tool, Text(words)))

    @contextmanager
    def watching(self, tool: str) -> Iterator[Show]:
        """A bar that moves as it is told to, and is gone afterwards."""
        if not self._moves:
            yield lambda progress, words: None
            return
        with Live(console=self._console, transient=True, auto_refresh=False) as live:
            yield lambda progress, words: live.update(
                self._row(tool, self._bar(progress, words), mark=" "), refresh=True
            )

    def watched(self, tool: str, progress: float | None, words: str) -> None:
        """The bar as it stood at the end of the wait, if anything is known of it."""
        self._show(self._row(tool, Text(words) if progress is None else self._bar(progress, words)))

    def trouble(self, words: str) -> None:
        """An error of the platform's, as the user gets to read it."""
        self._show(self._row("", Text(words, "yellow"), mark=" "))

    def files(self, saved: Sequence[SavedFile]) -> None:
        """The files on disk. Paths are never broken over two lines: they are there to be copied."""
        self._show(Text("\nFiles on disk", "bold cyan"))
        for each in saved:
            line = Text(f"  {each.kind:18}  {each.size / 1000:5,.0f} kB  ").append(str(each.path), "green")
            self._show(line, whole=True)

    def what_next(self) -> None:
        """How to connect a real client."""
        self._show(Text("\nWhat to type next", "bold cyan"))
        for purpose, command in next_steps(_command()):
            self._show(Text(f"  {purpose:27}").append(command, "green"), whole=True)

    def stopped(self) -> None:
        """The user has had enough."""
        self._show(Text("\nStopped. The server and its platform are stopped too.", "bold"))

    def failed(self, problem: str, log: Sequence[str]) -> None:
        """What went wrong, and the end of the server's log."""
        self._show(Text(f"\nThe demo failed: {problem}", "bold red"))
        if log:
            self._show(Text("The server's last words:\n" + "\n".join(log), "dim"))

    def save(self, picture: Path) -> None:
        """Keep the lines that were shown as an SVG file."""
        self._picture.save_svg(str(picture), title="cyberun-mcp demo")

    def _bar(self, progress: float, words: str) -> Table:
        bar, line = Table.grid(padding=(0, 1)), Text(words, no_wrap=True, overflow="ellipsis")
        bar.add_row(ProgressBar(total=1, completed=progress, width=_BAR_WIDTH, complete_style="cyan"), line)
        return bar

    def _row(self, tool: str, words: RenderableType, mark: str = "") -> Table:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=1)
        row.add_column(width=_TOOL_WIDTH, no_wrap=True)
        row.add_column()
        row.add_row(Text(mark or self._tick, "green"), Text(tool, "magenta"), words)
        return row

    def _show(self, what: RenderableType, *, whole: bool = False) -> None:
        for console in (self._console, self._picture):
            console.print(what, soft_wrap=whole)
