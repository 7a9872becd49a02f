"""Between a pipe and the server: the stdio transport."""
