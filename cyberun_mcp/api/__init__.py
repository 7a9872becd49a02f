"""The Cyberun REST API: credentials, one method per endpoint, retries, events, and following a task to its end."""
