"""How long one call may wait, by the client that makes it.

A client that gives up at 60 s would lose the answer of a longer wait, so the default wait is what the client bears
before it gives up on a call that reports progress, less a margin. A caller may always name its own timeout_seconds.
"""

UNKNOWN_CLIENT = 45  # seconds; below the 60 s at which most clients give up

# Announced name, lower case, by its beginning → seconds. Names marked (seen) were observed in what the client sends, or
# stand in its code; the others are as its users report them.
_BEARS = {
    "claude-code": 1_500,  # (seen, 2.1.330) gives up after hours; idle limit of 5 min that progress restarts
    "claude-ai": 200,  # Claude Desktop: 240 s, fixed
    "codex": 270,  # (seen, codex-mcp-client 0.169) 300 s, progress does not help
    "gemini-cli": 540,  # (seen, gemini-cli-mcp-client 0.61) 600 s, progress does not help
    "qwen": 180,  # (seen, qwen-code-mcp-client and qwen-cli-mcp-client-… 0.15) bore 200 s; documented limit 600 s
    "opencode": 1_500,  # (seen, 1.18) 60 s, restarted by progress
    "copilot": 1_500,  # 180 s, restarted by progress
    "github-copilot": 1_500,
    "visual studio code": 1_500,  # no limit of its own
}


def patience_of(client_name: str | None) -> int:
    """Seconds the client that announced itself as `client_name` bears; UNKNOWN_CLIENT for any other."""
    name = (client_name or "").lower()
    return next((seconds for beginning, seconds in _BEARS.items() if name.startswith(beginning)), UNKNOWN_CLIENT)
