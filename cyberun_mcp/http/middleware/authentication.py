"""Who may call: callers with a Cyberun key of their own, or known clients of a server that acts with its own key."""

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp.api.credentials import Credential, credential_from
from cyberun_mcp.http.middleware.rejection import RejectingMiddleware, Rejection
from cyberun_mcp.observability.telemetry import Telemetry

CALLER = "cyberun_mcp.caller"  # the key of the ASGI scope that holds the caller's fingerprint, for the limits
TEAM_HEADER = "x-team-id"

# What the platform says about a key: True (valid), False (invalid), None (unknown, such as during an outage).
AcceptsKey = Callable[[Credential], Awaitable[bool | None]]

# Seconds for which each verdict is cached. "Unknown" is cached too: asking at every call would add to an outage.
CACHE_SECONDS = {True: 60.0, False: 30.0, None: 5.0}
MOST_CACHED_KEYS = 10_000  # made-up keys must not fill the memory

_VALID_KEY = re.compile(r"[\x21-\x7e]{1,4096}")  # a JWT with many claims is shorter
_HASH_SECRET = secrets.token_bytes(32)  # so that a fingerprint found in memory cannot be matched against keys
_DESCRIPTIONS = {"sk": "an integration key (sk-…)", "dk": "a device key (dk-…)", "jwt": "a user's JWT with X-Team-ID"}


def bearer(headers: Headers) -> str:
    """The key or token of an `Authorization: Bearer` header, or "" if there is none."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def fingerprint(key: str) -> bytes:
    """A hash that identifies a key within this process."""
    return hashlib.blake2b(key.encode(), key=_HASH_SECRET, digest_size=16).digest()


class CallerKeyAuth(RejectingMiddleware):
    """Accepts requests with a Cyberun key of an accepted family. The key goes to the platform and is not stored.

    `X-Team-ID` is passed on with a JWT only: other keys belong to one team, so there it could only be an attempt at
    another team.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, families: Collection[str]) -> None:
        super().__init__(app, telemetry)
        self.families = families
        self._accepted = " or ".join(text for family, text in _DESCRIPTIONS.items() if family in families)

    async def rejection(self, scope: Scope) -> Rejection | None:
        headers = Headers(scope=scope)
        key = bearer(headers)
        if _family(key) not in self.families or not _VALID_KEY.fullmatch(key):
            found = "this kind of key is not accepted here" if key else "no key"
            return _unauthorized(f"{found}: send Authorization: Bearer with {self._accepted}.")
        if _family(key) == "jwt" and not _VALID_KEY.fullmatch(headers.get(TEAM_HEADER, "")):
            return Rejection("credential", 400, "A user's JWT needs the header X-Team-ID beside it.")
        return None

    async def forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = bearer(Headers(scope=scope))
        if _family(key) != "jwt":
            del MutableHeaders(scope=scope)[TEAM_HEADER]
        scope[CALLER] = fingerprint(key)
        await self.app(scope, receive, send)


class ClientTokenAuth(RejectingMiddleware):
    """Accepts requests with a token whose SHA-256 is among `hashes`. The server acts with its own key.

    Compares every hash in constant time, so that the response time reveals nothing about any of them.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, hashes: Callable[[], Collection[bytes]]) -> None:
        super().__init__(app, telemetry)
        self._hashes = hashes

    async def rejection(self, scope: Scope) -> Rejection | None:
        token = bearer(Headers(scope=scope))
        token_hash = hashlib.sha256(token.encode()).digest()
        matches = [hmac.compare_digest(token_hash, known_hash) for known_hash in self._hashes()]
        if token and any(matches):
            return None
        return _unauthorized("this server lets known clients in: send Authorization: Bearer with your token.")

    async def forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER] = fingerprint(bearer(Headers(scope=scope)))
        await self.app(scope, receive, send)


class KeyCheck(RejectingMiddleware):
    """Rejects keys that the platform rejects, so that a client gets a real 401 instead of fifteen failing tools.

    Rejects only what the platform clearly rejects: during an outage every key passes, and the call itself fails.
    """

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry, accepts_key: AcceptsKey, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(app, telemetry)
        self._accepts_key = accepts_key
        self._clock = clock
        self._verdicts: OrderedDict[bytes, tuple[bool | None, float]] = OrderedDict()  # caller → (verdict, expires at)
        self._pending: dict[bytes, anyio.Event] = {}

    async def rejection(self, scope: Scope) -> Rejection | None:
        headers = Headers(scope=scope)
        credential = credential_from(bearer(headers), headers.get(TEAM_HEADER))
        if await self._verdict(scope[CALLER], credential) is False:
            return _unauthorized("the platform does not accept this key: it is invalid, revoked or expired.")
        return None

    async def _verdict(self, caller: bytes, credential: Credential) -> bool | None:
        while True:
            verdict, expires = self._verdicts.get(caller, (None, 0.0))
            if self._clock() < expires:
                return verdict
            if caller not in self._pending:
                return await self._ask(caller, credential)
            await self._pending[caller].wait()

    async def _ask(self, caller: bytes, credential: Credential) -> bool | None:
        """Ask the platform once for all concurrent requests of this caller."""
        self._pending[caller] = done = anyio.Event()
        try:
            verdict = await self._accepts_key(credential)
            self._verdicts[caller] = verdict, self._clock() + CACHE_SECONDS[verdict]
            self._verdicts.move_to_end(caller)
            if len(self._verdicts) > MOST_CACHED_KEYS:
                self._verdicts.popitem(last=False)
            return verdict
        finally:
            del self._pending[caller]
            done.set()


def _unauthorized(message: str) -> Rejection:
    """A 401 that names the scheme and repeats nothing of what was sent."""
    return Rejection("credential", 401, message, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _family(key: str) -> str:
    if key.startswith("eyJ"):
        return "jwt"
    return key.partition("-")[0] if "-" in key else ""
