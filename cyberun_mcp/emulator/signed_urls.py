"""Presigned URLs as AWS makes them: Signature Version 4 in the query string, payload unsigned.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html

The whole algorithm is here because the documented 403 follows from it: a signed header that is missing or has another
value gives another signature.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from cyberun_mcp.emulator.errors import InvalidSignature

_ALGORITHM = "AWS4-HMAC-SHA256"
_REGION = "local"


@dataclass(frozen=True)
class UrlSigner:
    """Signs URLs below `origin` (scheme, host and port) and verifies requests to them."""

    origin: str
    secret: str
    access_key: str = "EMULATORACCESSKEY"

    def sign(self, method: str, path: str, *, headers: Mapping[str, str], expires: int, at: float | None = None) -> str:
        """A URL that permits one method on one path with exactly these headers.

        `headers` has lower-case names. `expires` is in seconds from `at`, a Unix time that defaults to the current one.
        """
        signed_headers = {**headers, "host": urlsplit(self.origin).netloc}
        date = datetime.fromtimestamp(time.time() if at is None else at, UTC).strftime("%Y%m%dT%H%M%SZ")
        query = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.access_key}/{_scope(date)}",
            "X-Amz-Date": date,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(sorted(signed_headers)),
        }
        signature = self._signature(method, path, query, signed_headers)
        return f"{self.origin}{quote(path)}?{_canonical_query(query)}&X-Amz-Signature={signature}"

    def verify(self, method: str, path: str, query_string: str, headers: Mapping[str, str]) -> None:
        """Return if the request has a valid signature that has not expired. Raises `InvalidSignature`.

        `path` is decoded. `headers` must look names up case-insensitively.
        """
        query = dict(parse_qsl(query_string, keep_blank_values=True))
        received_signature = query.pop("X-Amz-Signature", "")
        names = query.get("X-Amz-SignedHeaders", "").split(";")
        try:
            signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            lifetime = int(query["X-Amz-Expires"])
        except (KeyError, ValueError):
            raise InvalidSignature("AccessDenied", "Access Denied") from None
        missing = [name for name in names if name not in headers]
        if missing:
            raise InvalidSignature("AccessDenied", f"Signed headers are missing from the request: {', '.join(missing)}")
        expected_signature = self._signature(method, path, query, {name: headers[name] for name in names})
        if not hmac.compare_digest(expected_signature.encode(), received_signature.encode()):
            raise InvalidSignature(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
            )
        if time.time() > signed_at.timestamp() + lifetime:
            raise InvalidSignature("AccessDenied", "Request has expired")

    def _signature(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
        date = query.get("X-Amz-Date", "")
        canonical_request = "\n".join(
            [
                method,
                quote(path),
                _canonical_query(query),
                *(f"{name}:{headers[name].strip()}" for name in sorted(headers)),
                "",
                ";".join(sorted(headers)),
                "UNSIGNED-PAYLOAD",
            ]
        )
        digest = hashlib.sha256(canonical_request.encode()).hexdigest()
        key = f"AWS4{self.secret}".encode()
        for part in _scope(date).split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, f"{_ALGORITHM}\n{date}\n{_scope(date)}\n{digest}".encode(), "sha256").hex()


def _scope(date: str) -> str:
    return f"{date[:8]}/{_REGION}/s3/aws4_request"


def _canonical_query(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
