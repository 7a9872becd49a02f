"""`cyberun-mcp doctor` checks the key, the network, the platform, and the AI clients that are configured here.

`command` runs the checks, in the order in which a user would fix problems:

    platform.check_key → network → platform.check_platform → client_entries (with server_check)

Each check returns findings, and each finding that is not ok says what to do.
"""
