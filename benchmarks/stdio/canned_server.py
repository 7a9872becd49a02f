"""Our server before a platform that answers from memory: the whole of a successful call, but for the network.

The answer is the JSON file that BENCHMARK_ANSWER names.
"""

import os
from pathlib import Path

import anyio
import httpx2

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings
from cyberun_mcp.stdio.serve import serve_stdio

BASE_URL = "https://canned.invalid/api/v1"


class Canned(httpx2.AsyncBaseTransport):
    """Answers every request with the same JSON."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, as if it had come over a connection."""
        return httpx2.Response(200, headers={"Content-Type": "application/json"}, content=self._answer)


async def serve(answer: bytes) -> None:
    """Serve the client on stdin and stdout until it leaves."""
    credential = credential_from("sk-benchmark0123456789")
    await serve_stdio(build_server(Settings(base_url=BASE_URL), lambda _: credential, transport=Canned(answer)))


if __name__ == "__main__":
    anyio.run(serve, Path(os.environ["BENCHMARK_ANSWER"]).read_bytes())
