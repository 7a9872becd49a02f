"""The official MCP conformance suite against our endpoint; `make conformance` runs it.

What we do not offer (prompts, resources, sampling…) stands in expected/, every line with its reason.
"""
