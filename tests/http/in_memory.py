"""What stands on either side of a guard: requests as a server makes them, and an application that notes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.http.app import HttpApp
from cyberun_mcp.http.settings import HttpSettings
from cyberun_mcp.observability.telemetry import Telemetry
from cyberun_mcp.settings import Settings
from tests.fake_platform import BASE_URL

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
CANARY = "sk-canary0123456789abcdef"


class Refusals(Telemetry):
    """Telemetry that notes what was refused."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def rejected(self, reason: str) -> None:
        self.reasons.append(reason)


class Noting:
    """An application that reads the body, answers 200, and keeps the scopes it was reached with."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        while (await receive()).get("more_body"):
            pass
        await PlainTextResponse("reached")(scope, receive, send)


@asynccontextmanager
async def caller_of(app: ASGIApp, peer: str = "127.0.0.1", **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `app` that connects from `peer`."""
    transport = httpx2.ASGITransport(app, client=(peer, 4242))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=headers) as client:
        yield client


def application(**endpoint: Any) -> HttpApp:
    """A whole endpoint, before a platform that nothing here reaches."""
    return HttpApp(Settings(base_url=BASE_URL, api_key=CANARY), HttpSettings(**endpoint))
