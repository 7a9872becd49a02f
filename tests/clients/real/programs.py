"""The real clients: which package each comes in, and how to run it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.node.installing import node, npm_package, python_with


@dataclass(frozen=True)
class Program:
    """One client of a registry. `script` is below `node_modules`; one that is a program by itself needs no Node."""

    name: str
    package: str
    script: str = ""
    native: bool = False

    def command(self) -> list[str]:
        """What starts it, installed first where need be. Raises NotInstalled."""
        script = str(npm_package(self.name, self.package) / self.script)
        return [script] if self.native else [str(node()), script]


CLAUDE = Program(
    "claude-code", "@anthropic-ai/claude-code@2.1.330", "@anthropic-ai/claude-code/bin/claude.exe", native=True
)
CODEX = Program("codex", "@openai/codex@0.169.0", "@openai/codex/bin/codex.js")
GEMINI = Program("gemini", "@google/gemini-cli@0.61.0", "@google/gemini-cli/bundle/gemini.js")
QWEN = Program("qwen", "@qwen-code/qwen-code@0.24.4", "@qwen-code/qwen-code/cli-entry.js")
OPENCODE = Program("opencode", "opencode-ai@1.18.33", "opencode-ai/bin/opencode.exe", native=True)
MCPORTER = Program("mcporter", "mcporter@0.12.3", "mcporter/dist/cli.js")
INSPECTOR = Program(
    "inspector",
    "@modelcontextprotocol/inspector@2.12.0",
    "@modelcontextprotocol/inspector/clients/launcher/build/index.js",
)
MCPB = Program("mcpb", "@anthropic-ai/mcpb@2.1.2", "@anthropic-ai/mcpb/dist/cli/cli.js")

STORIES = Path(__file__).parent / "stories"


def _typescript(name: str, package: str, story: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        modules = npm_package(name, package)
        # Node looks for packages beside the script that imports them.
        script = modules.parent / story
        script.write_text((STORIES / story).read_text(encoding="utf-8"), encoding="utf-8")
        return [str(node()), str(script)]

    return command


def _python(name: str, package: str, story: str) -> Callable[[], list[str]]:
    return lambda: [str(python_with(name, package)), str(STORIES / story)]


# Libraries, each with a script of ours that runs a task with it to its end.
LIBRARIES: dict[str, Callable[[], list[str]]] = {
    "TypeScript SDK 1": _typescript("typescript-1", "@modelcontextprotocol/sdk@1.32.2", "typescript_1.mjs"),
    "TypeScript SDK 2": _typescript("typescript-2", "@modelcontextprotocol/client@2.4.0", "typescript_2.mjs"),
    "Python SDK 1": _python("python-1", "mcp==1.30.0", "python_1.py"),
    "Python SDK 2": _python("python-2", "mcp==2.3.0", "python_2.py"),
    "fastmcp": _python("fastmcp", "fastmcp==4.1.0", "fastmcp_client.py"),
}
