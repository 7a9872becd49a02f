"""How long one call may wait by default, by the client that makes it.

A client that times out after 60 s would lose the result of a longer wait. So the default wait is the client's own
timeout for a call that reports progress, less a margin. A caller may always pass timeout_seconds.
"""

UNKNOWN_CLIENT = 45  # seconds; most clients time out after 60 s

# The beginning of the announced name, in lower case → seconds. Names marked (seen) were observed in the client's
# traffic or are in its source code; the others are as its users report them.
_DEFAULT_WAITS = {
    "claude-code": 1_500,  # (seen, 2.1.330) times out after hours; idle limit of 5 min that progress restarts
    "claude-ai": 200,  # Claude Desktop: 240 s, fixed
    "codex": 270,  # (seen, codex-mcp-client 0.169) 300 s, progress does not help
    "gemini-cli": 540,  # (seen, gemini-cli-mcp-client 0.61) 600 s, progress does not help
    "qwen": 180,  # (seen, qwen-code-mcp-client and qwen-cli-mcp-client-… 0.15) waited 200 s; documented limit 600 s
    "opencode": 1_500,  # (seen, 1.18) 60 s, restarted by progress
    "copilot": 1_500,  # 180 s, restarted by progress
    "github-copilot": 1_500,
    "visual studio code": 1_500,  # no limit of its own
}


def default_wait(client_name: str | None) -> int:
    """The default wait in seconds for a client by its announced name; UNKNOWN_CLIENT for any other."""
    name = (client_name or "").lower()
    return next((seconds for prefix, seconds in _DEFAULT_WAITS.items() if name.startswith(prefix)), UNKNOWN_CLIENT)
