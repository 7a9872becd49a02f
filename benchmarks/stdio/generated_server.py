"""A server that FastMCP generates from the OpenAPI document; run by the interpreter FastMCP is installed for."""

import json
import os
import sys
from pathlib import Path

import httpx2
from fastmcp import FastMCP  # type: ignore[import-not-found]


def main() -> None:
    """Serve the document at the path of the first argument over stdio; the second names an answer to all requests."""
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    authorization = {"Authorization": f"Bearer {os.environ['CYBERUN_API_KEY']}"}
    transport = _canned(Path(sys.argv[2]).read_bytes()) if len(sys.argv) > 2 else None
    base_url = os.environ["CYBERUN_BASE_URL"]
    client = httpx2.AsyncClient(base_url=base_url, headers=authorization, transport=transport)
    FastMCP.from_openapi(openapi_spec=document, client=client, name="generated").run(show_banner=False)


def _canned(answer: bytes) -> httpx2.MockTransport:
    headers = {"Content-Type": "application/json"}
    return httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=answer))


if __name__ == "__main__":
    main()
