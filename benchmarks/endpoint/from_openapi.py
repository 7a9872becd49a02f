"""Peer (b): what FastMCP makes of an OpenAPI document of the same fifteen operations, before the same platform.

.venv-fastmcp/bin/python -P benchmarks/endpoint/from_openapi.py PORT BASE_URL
"""

import json
import logging
import sys
from pathlib import Path

import httpx2
from fastmcp import FastMCP  # type: ignore[import-not-found, unused-ignore]

if __name__ == "__main__":
    logging.disable(logging.INFO)
    document = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
    limits = httpx2.Limits(max_connections=10_000, max_keepalive_connections=100)
    platform = httpx2.AsyncClient(
        base_url=sys.argv[2], headers={"Authorization": "Bearer sk-benchmark"}, limits=limits, trust_env=False
    )
    FastMCP.from_openapi(document, platform, name="openapi").run(
        transport="http",
        host="127.0.0.1",
        port=int(sys.argv[1]),
        stateless_http=True,
        show_banner=False,
        log_level="error",
        uvicorn_config={"access_log": False, "backlog": 4096},
    )
