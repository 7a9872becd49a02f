"""Container services: small HTTP servers on loopback, and the gateway that forwards requests to them."""
