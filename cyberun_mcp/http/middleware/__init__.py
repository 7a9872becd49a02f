"""What stands between the network and the MCP application: pure ASGI, one small class each, with the attack it stops.

    RequestId ─ TrustedProxies ─ Paths ─┬─ HostAndOrigin (any Host) ─ /livez /readyz /metrics
                                        └─ /mcp ─ HostAndOrigin ─ CORS ─ RunningCalls ─ OnlyPost ─ BodyLimit
                                             ─ credentials ─ KeyCheck ─ RateLimit ─ ConcurrencyLimit ─ the application

`http.app` puts them together.
"""
