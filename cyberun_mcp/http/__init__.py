"""Between a socket and the server: the Streamable HTTP endpoint.

The way of one `tools/call`, in the order to read it:

    socket
      │  1  http/client_connection.py   bytes → one request at a time, within limits (details: request_framing.py)
      │  2  http/app.py                 the ASGI app: the order of the middleware (details: middleware/)
      │  3  http/dispatch.py            McpApp: parse, carry out, respond; cancels the call if the client disconnects
      │       http/request_parsing.py     the checks of the headers and of the JSON-RPC message
      │       http/response.py            one JSON object, or an event stream with progress notifications
      │  4  server.py                   the tool of that name, its arguments checked, with the caller's key
      │  5  tools/                      the tool itself, one file per noun: one call of the API client
      │  6  api/client.py               the REST request to the platform
    platform

The result goes back the same way. Before all this, `serve.py` starts and ends one process, `workers.py` several.
"""
