"""`python -m cyberun_mcp` is `cyberun-mcp`."""

from cyberun_mcp.cli import main

main()
