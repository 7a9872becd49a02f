"""`python -m cyberun_mcp` is `cyberun-mcp`."""

from cyberun_mcp.stdio.fast_start import main

main()
