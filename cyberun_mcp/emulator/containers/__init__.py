"""Container services: HTTP servers of their own on loopback, and the gateway that leads to them."""
