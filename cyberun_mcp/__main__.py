"""`python -m cyberun_mcp` is `cyberun-mcp`."""

from cyberun_mcp.handshake import main

main()
