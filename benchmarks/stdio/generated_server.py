"""A server that FastMCP generates from the OpenAPI document; run by the interpreter FastMCP is installed for."""

import json
import os
import sys
from pathlib import Path

import httpx2
from fastmcp import FastMCP  # type: ignore[import-not-found]


def main() -> None:
    """Serve the document at the path of the first argument over stdio."""
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    authorization = {"Authorization": f"Bearer {os.environ['CYBERUN_API_KEY']}"}
    client = httpx2.AsyncClient(base_url=os.environ["CYBERUN_BASE_URL"], headers=authorization)
    FastMCP.from_openapi(openapi_spec=document, client=client, name="generated").run(show_banner=False)


if __name__ == "__main__":
    main()
