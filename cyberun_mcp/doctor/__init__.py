"""`cyberun-mcp doctor`: from the key to the clients' files, what works here, what does not, and what to do about it.

    key → network (base URL, proxy, DNS, TLS) → platform (one cheap question, and its clock) → configured (the clients)

Each gives findings; `report` shows them.
"""
