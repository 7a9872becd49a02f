"""Who may call, and what of their credential goes on."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.http.middleware.rejection import Guard, Refusal, bearer
from cyberun_mcp.observability.telemetry import Telemetry

CALLER = "cyberun_mcp.caller"  # the name in the scope under which the limits find whose request it is
TEAM_HEADER = "x-team-id"

_HEADER_SAFE = re.compile(r"[\x21-\x7e]{1,4096}")  # a JWT with many claims stays below; what is longer is no key
_SECRET = secrets.token_bytes(32)  # so that a hash in memory says nothing about the key to whoever reads the memory
_SHOWN = {"sk": "an integration key (sk-…)", "dk": "a device key (dk-…)", "jwt": "a user's JWT with X-Team-ID"}


def fingerprint(key: str) -> bytes:
    """What stands for a key in memory, in this process only."""
    return hashlib.blake2b(key.encode(), key=_SECRET, digest_size=16).digest()


class CallersKey(Guard):
    """Lets requests through that bring a Cyberun key of an accepted family; it goes to the platform, and is not kept.

    `X-Team-ID` goes with a JWT alone: beside a key that carries its team, it would be somebody's try at another one.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, families: Collection[str]) -> None:
        super().__init__(app, telemetry)
        self.families = families
        self._wanted = " or ".join(words for family, words in _SHOWN.items() if family in families)

    async def refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        key = bearer(headers)
        if _family(key) not in self.families or not _HEADER_SAFE.fullmatch(key):
            found = "this kind of key is not accepted here" if key else "no key"
            return unauthorized(f"{found}: send Authorization: Bearer with {self._wanted}.")
        if _family(key) == "jwt" and not _HEADER_SAFE.fullmatch(headers.get(TEAM_HEADER, "")):
            return Refusal("credential", 400, "A user's JWT needs the header X-Team-ID beside it.")
        return None

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = bearer(Headers(scope=scope))
        if _family(key) != "jwt":
            del MutableHeaders(scope=scope)[TEAM_HEADER]
        scope[CALLER] = fingerprint(key)
        await self.app(scope, receive, send)


class KnownClients(Guard):
    """Lets requests through that bring a token whose SHA-256 is among `hashes`; the server acts with its own key.

    Every hash is compared, each in constant time, so that the time taken tells nothing about any of them.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, hashes: Callable[[], Collection[bytes]]) -> None:
        super().__init__(app, telemetry)
        self._hashes = hashes

    async def refusal(self, scope: Scope) -> Refusal | None:
        token = bearer(Headers(scope=scope))
        given = hashlib.sha256(token.encode()).digest()
        known = [hmac.compare_digest(given, each) for each in self._hashes()]
        if token and any(known):
            return None
        return unauthorized("this server lets known clients in: send Authorization: Bearer with your token.")

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER] = fingerprint(bearer(Headers(scope=scope)))
        await self.app(scope, receive, send)


def unauthorized(message: str) -> Refusal:
    """A 401 that names the scheme, and neither repeats nor describes what was sent."""
    return Refusal("credential", 401, message, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _family(key: str) -> str:
    if key.startswith("eyJ"):
        return "jwt"
    return key.partition("-")[0] if "-" in key else ""
