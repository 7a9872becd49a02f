"""Between a socket and the server: the Streamable HTTP endpoint."""
