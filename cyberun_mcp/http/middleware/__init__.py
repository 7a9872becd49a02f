"""ASGI middleware: who may call, how much, and until when. One policy per file; each class names the attack it stops.

    RequestId ─ TrustedProxies ─ Routes ─┬─ HostAndOrigin (any Host) ─ /livez /readyz /metrics
                                         └─ /mcp ─ HostAndOrigin ─ CORS ─ DrainMiddleware ─ PostOnly ─ BodyLimit
                                              ─ CallerKeyAuth or ClientTokenAuth ─ KeyCheck ─ RateLimit
                                              ─ ConcurrencyLimit ─ TraceContext ─ http.dispatch.McpApp

`http.app` puts them in this order.
"""
