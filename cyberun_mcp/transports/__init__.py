"""How the server meets its clients: stdio, and Streamable HTTP."""
