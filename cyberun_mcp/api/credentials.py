"""The kinds of credentials the platform accepts, and the headers each of them is sent in.

`sk-` (integration) and `dk-` (device) keys belong to a team. A user's JWT needs an `X-Team-ID` header as well. `ak-`
keys are for GPU agents; the REST API rejects them. Source: docs.cyberun.cloud/cloud/concepts/credentials.
"""

import re
from dataclasses import dataclass, field

from cyberun_mcp.errors import ConfigurationError, MissingKey

WHERE_KEYS_COME_FROM = "https://app.cyberun.cloud → Access → Integration → Create integration key"

_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Credential:
    """A usable key; its `repr` does not show it."""

    key: str = field(repr=False)
    team_id: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """`Authorization`, and `X-Team-ID` for a JWT."""
        headers = {"Authorization": f"Bearer {self.key}"}
        if self.team_id:
            headers["X-Team-ID"] = self.team_id
        return headers


def credential_from(key: str | None, team_id: str | None = None) -> Credential:
    """The credential for a key.

    Raises MissingKey when there is none, and ConfigurationError when it cannot be used. The text says what to set.
    """
    if not key:
        raise MissingKey(
            "No Cyberun key. Set CYBERUN_API_KEY to an integration key (sk-…) in the environment of this server and "
            f"restart the AI client. Get one at {WHERE_KEYS_COME_FROM}."
        )
    if "${" in key:
        raise MissingKey(
            "CYBERUN_API_KEY holds an unexpanded ${…}: the client did not replace the variable. Set it in the "
            "environment the client starts from, or use the client's own way of naming variables, then restart it."
        )
    if not _HEADER_SAFE.fullmatch(key):
        raise ConfigurationError("CYBERUN_API_KEY contains blanks or characters that no key has; copy it again.")
    if key.startswith("ak-"):
        raise ConfigurationError(
            "CYBERUN_API_KEY is an agent key (ak-…), which only GPU agents can use. "
            f"Create an integration key (sk-…) at {WHERE_KEYS_COME_FROM}."
        )
    if key.startswith("eyJ"):
        if not team_id or not _HEADER_SAFE.fullmatch(team_id):
            raise ConfigurationError("CYBERUN_API_KEY is a user's JWT, which needs CYBERUN_TEAM_ID beside it.")
        return Credential(key, team_id)
    if key.startswith(("sk-", "dk-")):
        return Credential(key)
    raise ConfigurationError(
        f"CYBERUN_API_KEY is of no known kind: expected sk-…, dk-… or a JWT. Get one at {WHERE_KEYS_COME_FROM}."
    )
